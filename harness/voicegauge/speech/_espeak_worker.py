"""The process in which espeak-ng runs.

espeak-ng is GPL-3 software, so it is loaded only in this process, which communicates over pipes. The output of
espeak-ng depends on what the same process has spoken before. Therefore every command is executed in a fork of a process
that has spoken nothing.

A command is one line of JSON; the reply is one line of JSON, followed by mono samples of 16 bits, little endian:

    {"text": ..., "voice": "en-us+f2", "rate": 165, "pitch": 50, "word_gap": 0}
    {"bytes": 88200, "sample_rate_hz": 22050, "words": [[0, 5, 0]], "clause_ends": [44100]}    or    {"error": "..."}

"words" has, for each word, the index of its first character, its number of characters and the index of its first
sample; "clause_ends" has the indices of the samples at which clauses end.

A command without a rate asks for the phonemes of the text, one clause in each item, and the reply has no samples:

    {"text": ..., "voice": "en-us"}
    {"bytes": 0, "phonemes": ["wen", "end send"]}
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any, BinaryIO

# Constants of speak_lib.h: AUDIO_OUTPUT_SYNCHRONOUS, espeakINITIALIZE_DONT_EXIT, espeakCHARS_UTF8,
# espeakPHONEMES_IPA, and espeakRATE, espeakPITCH and espeakWORDGAP.
_ESPEAK_OUTPUT_SYNCHRONOUS = 2
_ESPEAK_INITIALIZE_DONT_EXIT = 0x8000
_ESPEAK_CHARACTERS_UTF8 = 1
_ESPEAK_PHONEMES_IPA = 2
_RATE_PARAMETER, _PITCH_PARAMETER, _WORD_GAP_PARAMETER = 1, 3, 7
"""Numbers by which espeak-ng identifies these parameters (`espeak_PARAMETER`)."""
_WORD_START_EVENT_TYPE, _CLAUSE_END_EVENT_TYPE = 1, 5
"""Numbers of the events that begin a word and end a clause (`espeak_EVENT_TYPE`); 0 ends the list of events."""


class _EspeakEvent(ctypes.Structure):
    """What espeak-ng reports while it speaks, such as the start of a word (`espeak_EVENT`)."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # counted in characters, from 1
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_SynthesisCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_EspeakEvent)
)
"""Type of the function to which espeak-ng passes samples and events."""


def _load_espeak() -> tuple[Any, int]:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(
        _ESPEAK_OUTPUT_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _ESPEAK_INITIALIZE_DONT_EXIT
    )
    if rate <= 0:
        raise OSError("espeak-ng could not be initialized")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breathy voices contain noise, whose default seed is the time
    return library, rate


def _speak(library: Any, command: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Return the samples, and the members of the reply header with the times of words and clauses."""
    pcm = bytearray()
    words: list[list[int]] = []
    clause_ends: list[int] = []

    def collect_samples(samples: Any, sample_count: int, events: Any) -> int:
        if samples and sample_count > 0:
            pcm.extend(ctypes.string_at(samples, sample_count * 2))
        index = 0
        while events and events[index].type != 0:
            event = events[index]
            if event.type == _WORD_START_EVENT_TYPE:
                words.append([event.text_position - 1, event.length, event.sample])
            elif event.type == _CLAUSE_END_EVENT_TYPE:
                clause_ends.append(event.sample)
            index += 1
        return 0

    callback = _SynthesisCallback(collect_samples)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(command["voice"].encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {command['voice']!r}")
    for parameter, key in ((_RATE_PARAMETER, "rate"), (_PITCH_PARAMETER, "pitch"), (_WORD_GAP_PARAMETER, "word_gap")):
        library.espeak_SetParameter(parameter, int(command[key]), 0)
    text = command["text"].replace("\0", " ").encode() + b"\0"
    zero = ctypes.c_uint(0)
    library.espeak_Synth(
        text,
        ctypes.c_size_t(len(text)),
        zero,
        ctypes.c_int(1),
        zero,
        ctypes.c_uint(_ESPEAK_CHARACTERS_UTF8),
        None,
        None,
    )
    library.espeak_Synchronize()
    return bytes(pcm), {"words": words, "clause_ends": clause_ends}


def _transcribe_clauses_to_phonemes(library: Any, command: dict[str, Any]) -> list[str]:
    """Return the phonemes of each clause in the International Phonetic Alphabet, with a space between words."""
    if library.espeak_SetVoiceByName(command["voice"].encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {command['voice']!r}")
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    text = ctypes.create_string_buffer(command["text"].replace("\0", " ").encode())
    rest, clauses = ctypes.c_void_p(ctypes.addressof(text)), []
    while rest.value:  # espeak-ng reads one clause, and moves the pointer behind it
        spoken = library.espeak_TextToPhonemes(ctypes.byref(rest), _ESPEAK_CHARACTERS_UTF8, _ESPEAK_PHONEMES_IPA)
        clauses.append((spoken or b"").decode(errors="replace"))
    return clauses


def _write_reply(output_stream: BinaryIO, reply_header: dict[str, Any], samples: bytes = b"") -> None:
    output_stream.write(json.dumps(reply_header).encode() + b"\n" + samples)
    output_stream.flush()


def _speak_in_fork(library: Any, sample_rate_hz: int, command_line: bytes, output_stream: BinaryIO) -> None:
    child = os.fork()
    if child == 0:
        try:
            command = json.loads(command_line)
            if "rate" in command:
                samples, times = _speak(library, command)
                header = {"bytes": len(samples), "sample_rate_hz": sample_rate_hz, **times}
                _write_reply(output_stream, header, samples)
            else:
                _write_reply(output_stream, {"bytes": 0, "phonemes": _transcribe_clauses_to_phonemes(library, command)})
        except Exception as error:  # noqa: BLE001 - every error is reported to the parent
            _write_reply(output_stream, {"error": str(error)})
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 0:
        _write_reply(output_stream, {"error": f"espeak-ng ended with status {status}"})


def main() -> None:
    """Execute commands until standard input is closed."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # messages that the library prints must not mix with replies
    try:
        library, rate = _load_espeak()
    except (ImportError, OSError) as error:
        _write_reply(out, {"error": str(error)})
        return
    _write_reply(out, {"sample_rate_hz": rate})
    for line in sys.stdin.buffer:
        _speak_in_fork(library, rate, line, out)


if __name__ == "__main__":
    main()
