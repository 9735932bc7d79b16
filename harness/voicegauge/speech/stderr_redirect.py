"""Suppression of messages that audio decoders print about damaged files."""

from __future__ import annotations

import os
import sys


def suppress_decoder_stderr() -> None:
    """Discard everything that C libraries write to standard error from now on; Python's messages are still printed.

    For processes that decode untrusted audio: decoders written in C print directly to file descriptor 2.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
