"""Finds public faults of clients with the emulator: `PYTHONPATH=benchmarks python -m faulty_clients`.

Each client is installed from the package index in two versions, each in a virtual environment: one with the fault, and
one in which its authors have corrected the fault. Both run against the emulator. It fails if the fault is not found, if
another rule is broken, or if anything is found with the corrected version.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

import voicegauge

CLIENT_TIMEOUT_S = 120.0
CLOSE_TIMEOUT_S = 5.0


class Client(NamedTuple):
    """A client in two versions."""

    name: str
    report: str
    """The public report of the fault."""
    script: str
    """Name of the script in this folder that drives the client."""
    faulty: tuple[str, ...]
    repaired: tuple[str, ...]
    """Requirements of both versions."""
    rule_ids: frozenset[str]
    """The rules that the faulty version breaks."""


CLIENTS = (
    Client(
        name="livekit-plugins-elevenlabs",
        report="https://github.com/livekit/agents/issues/5844",
        script="livekit_interruptions.py",
        faulty=("livekit-plugins-elevenlabs==1.5.10", "livekit-agents==1.5.10", "httpx", "openai<3"),
        repaired=("livekit-plugins-elevenlabs==1.5.14", "livekit-agents==1.5.14", "httpx", "openai<3"),
        rule_ids=frozenset(("client-context-open", "client-too-many-contexts")),
    ),
    Client(
        name="pipecat-ai",
        report="https://github.com/pipecat-ai/pipecat/issues/4114",
        script="pipecat_empty_answers.py",
        faulty=("pipecat-ai[elevenlabs]==0.0.106",),
        repaired=("pipecat-ai[elevenlabs]==0.0.108",),
        rule_ids=frozenset(("client-context-unknown",)),
    ),
)


def install(folder: Path, requirements: tuple[str, ...]) -> Path:
    """Return the interpreter of a virtual environment with the requirements, which is made if it does not exist."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    return python


def find_mistakes(python: Path, script: str) -> list[str]:
    """Run a client against the emulator, and return what it does wrong, a rule and its message each."""
    with voicegauge.emulate("elevenlabs", time_scale=0.4) as emulator:
        command = [str(python), str(Path(__file__).with_name(script)), emulator.base_url("elevenlabs")]
        run = subprocess.run(command, capture_output=True, text=True, timeout=CLIENT_TIMEOUT_S, check=False)
        if run.returncode:
            sys.exit(f"{script} failed:\n{run.stderr[-2000:]}")
        findings = emulator.list_client_findings(timeout_s=CLOSE_TIMEOUT_S)
        return [f"{one.rule}: {one.message}" for one in findings]


def main() -> int:
    """Print what was found with both versions of each client, and return 1 if it is not what was expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    folder = Path(".cache/faulty-clients")
    parser.add_argument(
        "--folder", type=Path, default=folder, help="where the environments are made, and kept (2.5 GB)"
    )
    options = parser.parse_args()
    has_failed = False
    for client in CLIENTS:
        for requirements, expected in ((client.faulty, client.rule_ids), (client.repaired, frozenset[str]())):
            python = install(options.folder / requirements[0], requirements)
            found = find_mistakes(python, client.script)
            rule_ids = {one.partition(":")[0] for one in found}
            is_right = rule_ids == expected
            has_failed = has_failed or not is_right
            print(f"{requirements[0]} ({client.report}): {'as expected' if is_right else 'NOT as expected'}")
            for text in sorted(set(found)):
                print(f"  {found.count(text)} x {text}")
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
