"""Judges published recordings: `PYTHONPATH=harness:benchmarks python -m public_traffic FOLDER`.

FOLDER has a checkout of each project. Its recordings are converted for each provider whose host they name, and what was
converted is checked, without the finding that a recording is old.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from voicegauge.cli._console import create_console
from voicegauge.contract.loading import load_catalogue

RECORDING_SUFFIXES = {".yml", ".yaml", ".har", ".json"}
_VOICEGAUGE = (sys.executable, "-m", "voicegauge")


def run(*arguments: str, report_path: Path) -> Any:
    """Run a command of voicegauge that writes JSON to `report_path`, and return it; `None` if it wrote none."""
    command = [*_VOICEGAUGE, *arguments, "--json", str(report_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if "Traceback" in done.stderr:
        raise RuntimeError(done.stderr)
    return json.loads(report_path.read_text()) if report_path.exists() else None


def list_recordings(project: Path) -> list[Path]:
    """Return the files of a project that may be recordings."""
    return [path for path in sorted(project.rglob("*")) if path.suffix in RECORDING_SUFFIXES and path.is_file()]


def find_providers(files: Sequence[Path]) -> list[str]:
    """Return the providers of bundled contracts of which a host occurs in a file."""
    contents = [path.read_bytes() for path in files]
    return [
        contract.id
        for contract in load_catalogue()
        if contract.provider.self_hosted is None
        and any(host.encode() in content for host in contract.hosts for content in contents)
    ]


def judge(project: Path, provider: str) -> tuple[str, ...] | None:
    """Return the row of a project and a provider; `None` if no exchange with the provider was converted."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        converted = run(
            "convert", str(project), "--provider", provider, "--out", f"{out}/har", report_path=out / "converted.json"
        )
        if converted is None or not any(file["exchange_count"] for file in converted["converted_files"]):
            return None
        report = run("check", provider, "--recordings", f"{out}/har", report_path=out / "check.json")
    if report is None:
        return (project.name, provider, "not checked")
    findings = [finding for finding in report["findings"] if finding["rule"] != "recording-stale"]
    severities = [finding["severity"] for finding in findings]
    unjudged = {**report["not_judged_reason_by_name"], **report["unmatched_request_reason_by_name"]}
    for finding in findings:
        print(f"{project.name} {provider}: {finding['severity']} {finding['rule']}: {finding['message']}", flush=True)
    for name, reason in unjudged.items():
        print(f"{project.name} {provider}: not judged: {name}: {reason}", flush=True)
    return (
        project.name,
        provider,
        str(report["exchange_count_by_provenance"].get("recorded", 0)),
        *(str(severities.count(severity)) for severity in ("error", "warning", "disputed")),
        str(len(unjudged)),
    )


def main() -> int:
    """Print the table; return 1 if there is an error, or a project was not checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with checkouts of projects that publish recordings")
    arguments = parser.parse_args()
    table = Table("project", "provider", "exchanges", "errors", "warnings", "disputed", "not judged")
    rows = [
        row
        for project in sorted(path for path in arguments.folder.iterdir() if path.is_dir())
        for provider in find_providers(list_recordings(project))
        if (row := judge(project, provider)) is not None
    ]
    for row in rows:
        table.add_row(*row)
    create_console().print(table)
    return int(any(len(row) < 4 or row[3] != "0" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
