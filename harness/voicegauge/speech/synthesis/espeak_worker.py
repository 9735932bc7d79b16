"""The process that speaks: espeak-ng behind a pipe. Run by `voicegauge.speech.synthesis.espeak`, not by hand.

espeak-ng is GPL-3 software: it is loaded in this process alone, which talks to the
rest over pipes. Its output depends on what the same process has spoken before, so every
request is spoken by a fork of a process that has spoken nothing.

A request is one line of JSON; the answer is one line of JSON and the samples, 16 bits,
little endian, mono:

    {"text": ..., "voice": "en-us+f2", "rate": 165, "pitch": 50, "word_gap": 0}
    {"bytes": 88200, "sample_rate_hz": 22050}       or       {"error": "..."}
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any, BinaryIO

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS of speak_lib.h
_DONT_EXIT = 0x8000
_UTF8 = 1
_RATE, _PITCH, _WORD_GAP = 1, 3, 7
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def _load() -> tuple[Any, int]:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _DONT_EXIT)
    if rate <= 0:
        raise OSError("espeak-ng could not be initialised")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breathing voices draw noise, seeded with the time until now
    return library, rate


def _speak(library: Any, wanted: dict[str, Any]) -> bytes:
    spoken = bytearray()

    def collect(samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            spoken.extend(ctypes.string_at(samples, count * 2))
        return 0

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(wanted["voice"].encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {wanted['voice']!r}")
    for parameter, key in ((_RATE, "rate"), (_PITCH, "pitch"), (_WORD_GAP, "word_gap")):
        library.espeak_SetParameter(parameter, int(wanted[key]), 0)
    text = wanted["text"].replace("\0", " ").encode() + b"\0"
    nothing = ctypes.c_uint(0)
    library.espeak_Synth(
        text, ctypes.c_size_t(len(text)), nothing, ctypes.c_int(1), nothing, ctypes.c_uint(_UTF8), None, None
    )
    library.espeak_Synchronize()
    return bytes(spoken)


def _answer(out: BinaryIO, head: dict[str, Any], samples: bytes = b"") -> None:
    out.write(json.dumps(head).encode() + b"\n" + samples)
    out.flush()


def _in_fork(library: Any, rate: int, line: bytes, out: BinaryIO) -> None:
    child = os.fork()
    if child == 0:
        try:
            samples = _speak(library, json.loads(line))
            _answer(out, {"bytes": len(samples), "sample_rate_hz": rate}, samples)
        except Exception as error:  # noqa: BLE001 - whatever went wrong is the answer
            _answer(out, {"error": str(error)})
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 0:
        _answer(out, {"error": f"espeak-ng ended with status {status}"})


def main() -> None:
    """Answer requests until standard input ends."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever the library prints is no answer
    try:
        library, rate = _load()
    except (ImportError, OSError) as error:
        _answer(out, {"error": str(error)})
        return
    _answer(out, {"sample_rate_hz": rate})
    for line in sys.stdin.buffer:
        _in_fork(library, rate, line, out)


if __name__ == "__main__":
    main()
