"""Runs the emulator as a process of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from voicegauge.contract.loading import load_contract
from voicegauge.emulator.process import EmulatorProcessConfig, EmulatorStartupMessage, create_server_certificate
from voicegauge.emulator.socket_server import bind_socket, serve
from voicegauge.errors import VoicegaugeError
from voicegauge.speech.containers import suppress_decoder_stderr


def main() -> None:
    """Serve until standard input is closed."""
    suppress_decoder_stderr()
    logging.disable(logging.CRITICAL)  # faults break connections on purpose; tracebacks of those are noise
    if sys.stdin.isatty() or not (first_line := sys.stdin.buffer.readline()):
        sys.exit("voicegauge.emulator is started by other commands with its settings: run `voicegauge serve`")
    config = msgspec.json.decode(first_line, type=EmulatorProcessConfig)
    try:
        contracts = [load_contract(Path(file)) for file in config.contract_paths]
        bound_socket = bind_socket(config.host, config.port)
        port = int(bound_socket.getsockname()[1])
        with contextlib.ExitStack() as stack:
            certificate = stack.enter_context(create_server_certificate(config.host)) if config.uses_tls else None
            startup = EmulatorStartupMessage(
                port=port,
                provider_ids=tuple(contract.id for contract in contracts),
                authority_path=str(certificate.authority_file) if certificate else None,
            )

            def on_ready(stop_server: Callable[[], None]) -> None:
                threading.Thread(target=_wait_for_end_of_input, args=(stop_server,), daemon=True).start()
                with contextlib.suppress(BrokenPipeError):  # the parent has exited; standard input ends as well
                    _write_startup_message(startup)

            serve(
                contracts,
                config.settings,
                bound_socket,
                host=config.host,
                on_ready=on_ready,
                ssl_context=certificate.ssl_context if certificate else None,
            )
    except VoicegaugeError as error:
        _write_startup_message(EmulatorStartupMessage(error_message=str(error)))


def _wait_for_end_of_input(on_end: Callable[[], None]) -> None:
    # Not with sys.stdin: this thread would hold its lock at interpreter shutdown, which aborts the process.
    while os.read(sys.stdin.fileno(), 65536):
        pass
    on_end()


def _write_startup_message(startup_message: EmulatorStartupMessage) -> None:
    os.write(sys.stdout.fileno(), msgspec.json.encode(startup_message) + b"\n")


if __name__ == "__main__":
    main()
