"""Judges passing traffic in a process of its own."""

from __future__ import annotations

import os
import sys

from voicegauge.relay.judge_process import judge_exchange_stream
from voicegauge.speech.containers import suppress_decoder_stderr


def main() -> None:
    """Judge until standard input is closed."""
    if sys.stdin.isatty():
        sys.exit("voicegauge.relay is started by other commands with its settings: run `voicegauge proxy`")
    suppress_decoder_stderr()
    os.nice(10)  # the bytes that pass go first
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not be read as a result
    judge_exchange_stream(sys.stdin.buffer, results)


if __name__ == "__main__":
    main()
