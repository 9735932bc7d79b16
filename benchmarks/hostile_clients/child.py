"""Runs a listener until its standard input ends: `python -m hostile_clients.child receiver|emulator`.

Prints one line of JSON with the URL to attack and the URL that must keep working.
"""

from __future__ import annotations

import json
import logging
import sys

from voicegauge.contract.catalogue import load_catalogue
from voicegauge.emulator._app import create_app
from voicegauge.emulator.socket_server import running_app
from voicegauge.receiver import run_receiver


def main() -> None:
    """Run the listener named by the argument."""
    logging.disable(logging.CRITICAL)
    if sys.argv[1] == "receiver":
        with run_receiver() as receiver:
            _wait(receiver.create_url(), receiver.create_url())
    else:
        catalogue = load_catalogue()
        with running_app(create_app([catalogue.find_provider("pixelapi"), catalogue.find_provider("ttsai")])) as url:
            _wait(f"{url}/pixelapi/v1/tts/generate", f"{url}/_emulator/health")


def _wait(attacked_url: str, working_url: str) -> None:
    print(json.dumps({"attacked_url": attacked_url, "working_url": working_url}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
