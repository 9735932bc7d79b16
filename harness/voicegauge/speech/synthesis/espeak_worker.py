"""Runs espeak-ng in a process that `voicegauge.speech.synthesis.espeak` starts.

espeak-ng is GPL-3 software, so it is loaded only in this process, which communicates over pipes. The output of
espeak-ng depends on what the same process has spoken before. Therefore every command is executed in a fork of a process
that has spoken nothing.

A command is one line of JSON; the reply is one line of JSON, followed by mono samples of 16 bits, little endian:

    {"text": ..., "voice": "en-us+f2", "rate": 165, "pitch": 50, "word_gap": 0}
    {"bytes": 88200, "sample_rate_hz": 22050}       or       {"error": "..."}
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any, BinaryIO

# Constants of speak_lib.h: AUDIO_OUTPUT_SYNCHRONOUS, espeakINITIALIZE_DONT_EXIT, espeakCHARS_UTF8, and espeakRATE,
# espeakPITCH and espeakWORDGAP.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_RATE, _PITCH, _WORD_GAP = 1, 3, 7
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def _load() -> tuple[Any, int]:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _DONT_EXIT)
    if rate <= 0:
        raise OSError("espeak-ng could not be initialized")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breathy voices contain noise, whose default seed is the time
    return library, rate


def _speak(library: Any, command: dict[str, Any]) -> bytes:
    pcm = bytearray()

    def collect(samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            pcm.extend(ctypes.string_at(samples, count * 2))
        return 0

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(command["voice"].encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {command['voice']!r}")
    for parameter, key in ((_RATE, "rate"), (_PITCH, "pitch"), (_WORD_GAP, "word_gap")):
        library.espeak_SetParameter(parameter, int(command[key]), 0)
    text = command["text"].replace("\0", " ").encode() + b"\0"
    zero = ctypes.c_uint(0)
    library.espeak_Synth(
        text, ctypes.c_size_t(len(text)), zero, ctypes.c_int(1), zero, ctypes.c_uint(_UTF8), None, None
    )
    library.espeak_Synchronize()
    return bytes(pcm)


def _reply(out: BinaryIO, head: dict[str, Any], samples: bytes = b"") -> None:
    out.write(json.dumps(head).encode() + b"\n" + samples)
    out.flush()


def _speak_in_fork(library: Any, rate: int, line: bytes, out: BinaryIO) -> None:
    child = os.fork()
    if child == 0:
        try:
            samples = _speak(library, json.loads(line))
            _reply(out, {"bytes": len(samples), "sample_rate_hz": rate}, samples)
        except Exception as error:  # noqa: BLE001 - every error is reported to the parent
            _reply(out, {"error": str(error)})
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 0:
        _reply(out, {"error": f"espeak-ng ended with status {status}"})


def main() -> None:
    """Execute commands until standard input is closed."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # messages that the library prints must not mix with replies
    try:
        library, rate = _load()
    except (ImportError, OSError) as error:
        _reply(out, {"error": str(error)})
        return
    _reply(out, {"sample_rate_hz": rate})
    for line in sys.stdin.buffer:
        _speak_in_fork(library, rate, line, out)


if __name__ == "__main__":
    main()
