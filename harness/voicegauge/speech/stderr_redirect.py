"""Decoders in C write to standard error about broken audio; processes that read what others send are hushed."""

from __future__ import annotations

import os
import sys


def suppress_decoder_stderr() -> None:
    """Keep what C writes off standard error from now on; Python's own messages still come through."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
