"""The process behind `running_emulator`: `python -m voicegauge.emulator`, told what to do on standard input."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

import msgspec

from voicegauge.contract import load_contract
from voicegauge.emulator.running import Errand, Ready
from voicegauge.emulator.serving import bind, serve
from voicegauge.errors import VoicegaugeError


def main() -> None:
    """Answer until standard input ends."""
    logging.disable(logging.CRITICAL)  # broken connections are part of the play
    errand = msgspec.json.decode(sys.stdin.buffer.readline(), type=Errand)
    try:
        contracts = [load_contract(Path(file)) for file in errand.contracts]
        bound = bind(errand.host, errand.port)
        over = threading.Event()
        threading.Thread(target=_read_to_end, args=(over,), daemon=True).start()
        port = int(bound.getsockname()[1])
        ready = Ready(port=port, providers=tuple(contract.id for contract in contracts))
        serve(contracts, errand.settings, bound, ready=lambda: _say(ready), ended=over.is_set)
    except VoicegaugeError as error:
        _say(Ready(error=str(error)))


def _read_to_end(over: threading.Event) -> None:
    while sys.stdin.buffer.read(65536):
        pass
    over.set()


def _say(ready: Ready) -> None:
    os.write(sys.stdout.fileno(), msgspec.json.encode(ready) + b"\n")


if __name__ == "__main__":
    main()
