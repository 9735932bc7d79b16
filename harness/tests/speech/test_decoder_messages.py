"""Messages that C decoders print about damaged audio do not reach the terminal; what voicegauge prints does."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from voicegauge import cli
from voicegauge.contract.loading import load_catalogue
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.har_files import save_har
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.containers import discard_decoder_messages
from voicegauge.speech.decoding import UndecodableAudioError, decode
from voicegauge.speech.encoding import decode_without_mixing, encode_at_bitrate

RATE_HZ = 24_000


def damaged_files(name: str, count: int = 15) -> Iterator[bytes]:
    """Truncated files, files with changed, missing and foreign bytes, and random bytes after a header."""
    tone = (np.sin(np.arange(RATE_HZ // 2) * 0.05) * 0.3).astype(np.float32)
    good = encode_at_bitrate(tone, RATE_HZ, name)
    rng = random.Random(name)
    for _ in range(count):
        at = rng.randrange(len(good))
        yield good[:at]
        yield good[:at] + rng.randbytes(300) + good[at + 300 :]
        yield good[:at] + good[at + 300 :]
        yield rng.randbytes(rng.randrange(1, 100)) + good
        yield good[: rng.randrange(4, 200)] + rng.randbytes(4_000)


@pytest.mark.parametrize(
    "name",
    [
        "mp3",
        "wav",
        "ogg",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("flac", "opus", "aiff", "m4a", "aac", "webm")),
    ],
)
def test_damaged_audio_is_decoded_silently(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    for data in damaged_files(name):
        audio = EncodedAudio(data)
        assert (audio.decoded_audio is None) == (audio.decode_error is not None)
        assert (audio.playback_timeline is None) == (audio.decoded_audio is None)
        with contextlib.suppress(UndecodableAudioError):
            decode_without_mixing(data)
    assert capfd.readouterr() == ("", "")


def test_an_aiff_without_samples_is_decoded_silently(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encode_at_bitrate(np.zeros(200, np.float32), 8_000, "aiff"))
    data[data.index(b"SSND") + 1] = ord("r")  # without samples, libsndfile tries to go to a negative position
    with contextlib.suppress(UndecodableAudioError):
        decode(bytes(data))
    assert capfd.readouterr() == ("", "")


def _damaged_mp3() -> bytes:
    tone = (np.sin(np.arange(3 * RATE_HZ) * 0.05) * 0.3).astype(np.float32)
    good = encode_at_bitrate(tone, RATE_HZ, "mp3")
    half = len(good) // 2
    return good[:half] + bytes(700) + good[half + 300 :]


def test_a_check_of_recordings_with_a_damaged_mp3_prints_only_its_own_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    contract = load_catalogue().find_provider("ttsai")
    operation = contract.find_operation("createSpeech")
    body = json.dumps({"model": "kokoro", "input": "Hello there.", "voice": "af_bella", "response_format": "mp3"})
    request = Request(
        method="POST",
        url=f"{operation.server.url}{operation.path}",
        headers=(("Content-Type", "application/json"),),
        body=body.encode(),
    )
    response = Response(status=200, headers=(("Content-Type", "audio/mpeg"),), body=_damaged_mp3())
    exchange = Exchange(
        provider="ttsai",
        operation=operation.id,
        request=request,
        response=response,
        conversation_id="one: a full delivery",
    )
    save_har(tmp_path / "ttsai" / "one.har", [exchange], provenance=Provenance.RECORDED, contract=contract)
    cli.run(["check", "ttsai", "--recordings", str(tmp_path)])
    out, err = capfd.readouterr()
    assert "1 exchange" in out
    assert [line for line in err.splitlines() if not line.startswith("voicegauge")] == []


SCRIPT = """
import os, sys
from voicegauge.speech.containers import discard_decoder_messages
with discard_decoder_messages():
    os.write(2, b"a C library\\n")
    print("Python", file=sys.stderr)
    with discard_decoder_messages():
        os.write(2, b"again\\n")
    os.write(2, b"still inside\\n")
print("afterwards", file=sys.stderr)
os.write(2, b"C afterwards\\n")
"""


def test_only_c_libraries_are_silenced_and_only_within_the_block() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], stderr=subprocess.PIPE, text=True, check=True)
    assert done.stderr == "Python\nafterwards\nC afterwards\n"


def test_a_process_without_standard_error_can_decode() -> None:
    script = (
        "import os; os.close(2); from voicegauge.speech.containers import discard_decoder_messages\n"
        "with discard_decoder_messages(): print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "ok\n"


def test_threads_share_the_redirection(capfd: pytest.CaptureFixture[str]) -> None:
    inside, leave = threading.Event(), threading.Event()

    def wait() -> None:
        with discard_decoder_messages():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    inside.wait()
    with discard_decoder_messages():
        os.write(2, b"both\n")
    os.write(2, b"one is still inside\n")
    leave.set()
    thread.join()
    os.write(2, b"none\n")
    assert capfd.readouterr().err == "none\n"
