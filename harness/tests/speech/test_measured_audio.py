"""Equal audio is decoded and measured once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from voicegauge.speech import audio_measurement, speech_signal
from voicegauge.speech.decoding import RawAudioFormat, decode
from voicegauge.speech.encoding import encode
from voicegauge.speech.speech_signal import compute_sample_digest, find_measured_audio, forget_measured_audio

from ..builders.audio import make_changing_noise

RATE_HZ = 16_000


@pytest.fixture
def decoded_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The files that are decoded, from no audio on."""
    files: list[bytes] = []

    def note(data: bytes, **options: RawAudioFormat | None) -> object:
        files.append(data)
        return decode(data, **options)

    monkeypatch.setattr(audio_measurement, "decode", note)
    forget_measured_audio()
    yield files
    forget_measured_audio()


def make_wav(text: str) -> bytes:
    return encode(make_changing_noise(0.5, RATE_HZ, text=text), RATE_HZ, "wav")[0]


def test_equal_files_are_decoded_once_and_have_the_measures_of_their_samples(decoded_files: list[bytes]) -> None:
    first, copy, other = make_wav("one"), bytes(bytearray(make_wav("one"))), make_wav("two")
    for _ in range(2):
        assert find_measured_audio(first).sample_digest == find_measured_audio(copy).sample_digest
        assert find_measured_audio(other).sample_digest != find_measured_audio(first).sample_digest
    assert decoded_files == [first, other]
    assert find_measured_audio(first).sample_digest == compute_sample_digest(decode(first).samples, RATE_HZ)


def test_raw_samples_are_audio_of_their_own_at_each_rate(decoded_files: list[bytes]) -> None:
    raw = make_wav("one")[44:]
    durations = [
        found.duration_s
        for rate in (RATE_HZ, 2 * RATE_HZ)
        if (found := find_measured_audio(raw, RawAudioFormat(sample_rate_hz=rate)).decoded_audio) is not None
    ]
    assert durations == [pytest.approx(0.5), pytest.approx(0.25)]


def test_what_cannot_be_decoded_has_no_measures(decoded_files: list[bytes]) -> None:
    broken = find_measured_audio(b"no audio")
    assert (broken.decoded_audio, broken.sample_digest, broken.bitrate_kbps) == (None, None, None)
    assert (broken.is_steady_sound, broken.clipped_share) == (False, 0.0)


def test_audio_that_was_used_long_ago_is_forgotten(decoded_files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    files = [make_wav(str(number)) for number in range(4)]
    decoded_size = 3 * len(files[0])  # 16-bit samples, and the same as 32-bit floats
    monkeypatch.setattr(speech_signal, "MAX_REMEMBERED_AUDIO_BYTES", 2 * decoded_size)
    for file in (*files, files[3], files[0]):
        assert find_measured_audio(file).decoded_audio is not None
    assert decoded_files == [*files, files[0]]
