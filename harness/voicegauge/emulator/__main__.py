"""The process behind `running_emulator`: `python -m voicegauge.emulator`, told what to do on standard input."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from voicegauge.contract import load_contract
from voicegauge.emulator.server import EmulatorProcessConfig, EmulatorStartup, bind, serve
from voicegauge.errors import VoicegaugeError
from voicegauge.speech import suppress_decoder_stderr


def main() -> None:
    """Answer until standard input ends."""
    suppress_decoder_stderr()
    logging.disable(logging.CRITICAL)  # broken connections are part of the play
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=EmulatorProcessConfig)
    try:
        contracts = [load_contract(Path(file)) for file in config.contracts]
        bound = bind(config.host, config.port)
        port = int(bound.getsockname()[1])
        said = EmulatorStartup(port=port, providers=tuple(contract.id for contract in contracts))

        def ready(stop: Callable[[], None]) -> None:
            threading.Thread(target=_read_to_end, args=(stop,), daemon=True).start()
            with contextlib.suppress(BrokenPipeError):  # who asked has gone, and standard input ends too
                _say(said)

        serve(contracts, config.settings, bound, ready=ready)
    except VoicegaugeError as error:
        _say(EmulatorStartup(error=str(error)))


def _read_to_end(then: Callable[[], None]) -> None:
    # Not through sys.stdin, whose lock this thread would hold when the interpreter ends.
    while os.read(sys.stdin.fileno(), 65536):
        pass
    then()


def _say(ready: EmulatorStartup) -> None:
    os.write(sys.stdout.fileno(), msgspec.json.encode(ready) + b"\n")


if __name__ == "__main__":
    main()
