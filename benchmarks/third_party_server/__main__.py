"""Checks a published server of speech over WebSockets: `PYTHONPATH=benchmarks python -m third_party_server`.

The server is pipecat-local-tts-server, installed from the package index; espeak-ng speaks in place of its model, and
its socket layer is untouched. `voicegauge check --live` must find nothing, except that the server is busy for a moment
after a turn, and must find a cancellation that is ignored. It fails otherwise.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENT = "pipecat-local-tts-server==0.7.0"
START_TIMEOUT_S = 30.0
EXPECTED_RULES = {"": set[str](), "cancel-ignored": {"socket-audio-after-cancel"}}
"""What must be found by fault."""
ACCEPTED_RULE = "socket-error"
"""The server frees its slot a moment after the message that a turn is complete, and rejects a text until then."""


def install(folder: Path) -> None:
    """Install the server without its dependencies (voicegauge has websockets). It asks for 3.12, but runs on 3.11."""
    if not (folder / "tts_server").exists():
        options = ["--quiet", "--no-deps", "--ignore-requires-python", "--target", str(folder)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, REQUIREMENT], check=True)


def find_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until the server accepts connections."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)
        else:
            return


def find_rules(folder: Path, fault: str) -> set[str]:
    """Run the server, check it, print the findings, and return their rules."""
    port = find_port()
    server = subprocess.Popen([sys.executable, str(HERE / "espeak_server.py"), str(folder), str(port), fault])
    try:
        wait_for_port(port)
        with tempfile.NamedTemporaryFile(suffix=".json") as report:
            where = ["--contracts", str(HERE / "contracts"), "--live", "--base-url", f"ws://127.0.0.1:{port}"]
            command = [sys.executable, "-m", "voicegauge", "check", "pipecat-local", *where, "--full", "--new-run"]
            run = subprocess.run([*command, "--json", report.name], capture_output=True, text=True, check=False)
            print(f"== {fault or 'as published'}\n{run.stdout}{run.stderr}")
            return {finding["rule"] for finding in json.loads(Path(report.name).read_bytes())["findings"]}
    finally:
        server.terminate()
        server.wait()


def main() -> int:
    """Check the server as published and with a fault, and return 1 if other rules are broken than expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    folder = Path(".cache/third-party-server")
    parser.add_argument("--folder", type=Path, default=folder, help="where the server is installed, and kept")
    options = parser.parse_args()
    install(options.folder)
    is_right = True
    for fault, expected in EXPECTED_RULES.items():
        found = find_rules(options.folder, fault)
        is_right = is_right and expected <= found and (bool(expected) or found <= {ACCEPTED_RULE})
    print("as expected" if is_right else "NOT as expected")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
