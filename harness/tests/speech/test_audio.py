from __future__ import annotations

import contextlib
import hashlib
import io
import math
import resource
import struct
import tracemalloc
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.model.sample import AudioFacts
from voicegauge.speech.audio_measurement import (
    EncodedAudio,
    compute_rms_dbfs,
    is_silent,
    measure_leading_silence_s,
    measure_speech_onset_s,
)
from voicegauge.speech.containers import find_container_of_media_type, sniff_container
from voicegauge.speech.decoding import MAX_AUDIO_DURATION_S, MAX_CHANNELS, RawAudioFormat, UndecodableAudioError, decode
from voicegauge.speech.encoding import AUDIO_FORMATS, encode, encode_at_bitrate, resample

RATE = 24_000
RAW = {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_f32le", "pcm_u8", "mulaw", "alaw"}


def tone(seconds: float = 2.0, *, rate: int = RATE, level: float = 0.3, lead_s: float = 0.0) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    sound = level * np.sin(2 * math.pi * 300 * time) * (1 + 0.5 * np.sin(2 * math.pi * 3 * time))
    return np.concatenate([np.zeros(int(lead_s * rate)), sound]).astype(np.float32)


def declared(name: str, rate: int = RATE) -> RawAudioFormat | None:
    return RawAudioFormat(format=name, sample_rate_hz=rate) if name in RAW else None


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_every_format_round_trips(name: str) -> None:
    sound = tone(lead_s=0.2)
    data, media_type = encode(sound, RATE, name)
    found = decode(data, declared_format=declared(name))
    assert found.source_channels == 1
    assert found.duration_s == pytest.approx(2.2, abs=0.001)
    assert compute_rms_dbfs(found.samples) == pytest.approx(compute_rms_dbfs(sound), abs=0.5)
    assert measure_leading_silence_s(found.samples, found.sample_rate_hz) == pytest.approx(0.2, abs=0.025)
    assert not found.is_truncated
    assert find_container_of_media_type(media_type) == found.container
    assert sniff_container(data) == (None if name in RAW else found.container)


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_equal_samples_make_equal_bytes(name: str) -> None:
    assert encode(tone(), RATE, name) == encode(tone(), RATE, name)


@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_pages_of_ogg_keep_a_true_checksum(name: str) -> None:
    data, _ = encode(tone(5.0), RATE, name)
    broken = bytearray(data)
    broken[-20] ^= 0xFF
    assert decode(data).duration_s == pytest.approx(5.0, abs=0.001)
    assert decode(bytes(broken)).duration_s < 4.9, "a page whose checksum is wrong is skipped"


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 96000])
def test_a_codec_takes_any_rate(rate: int) -> None:
    for name in ("mp3", "opus"):
        found = decode(encode(tone(rate=rate), rate, name)[0])
        assert found.duration_s == pytest.approx(2.0, abs=0.001)
        assert compute_rms_dbfs(found.samples) == pytest.approx(compute_rms_dbfs(tone()), abs=0.5)


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="mp3"):
        encode(tone(), RATE, "midi")


@pytest.mark.parametrize("length", [0, 0x7FFF0000, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFF00, 0xFFFFFFFF])
def test_a_streamed_wav_is_read_to_its_end(length: int) -> None:
    data = bytearray(encode(tone(), RATE, "wav")[0])
    struct.pack_into("<I", data, 4, length)
    struct.pack_into("<I", data, 40, length)
    found = decode(bytes(data))
    assert found.duration_s == pytest.approx(2.0)
    assert found.declared_duration_s is None
    assert not found.is_truncated


def test_a_streamed_flac_is_read_to_its_end() -> None:
    data = bytearray(encode(tone(), RATE, "flac")[0])
    data[21] &= 0xF0  # the last 36 bits before the checksum are the number of samples; 0 means that it is not known
    data[22:26] = bytes(4)
    found = decode(bytes(data))
    assert found.duration_s == pytest.approx(2.0)
    assert (found.container, found.codec, found.declared_duration_s) == ("flac", "flac", None)
    assert np.abs(found.samples - decode(encode(tone(), RATE, "flac")[0]).samples).max() < 1e-4


def mp3_frames(samples: np.ndarray, bitrate_kbps: int, *, rate: int = RATE) -> bytes:
    """Encode to MP3 without the first frame, which states the length."""
    data = encode_at_bitrate(samples, rate, "mp3", bitrate_kbps)
    at = data.index(b"\xff", 10 + data[9]) if data[:3] == b"ID3" else 0
    second = data.index(data[at : at + 2], at + 4)
    assert b"Xing" in data[at:second] or b"Info" in data[at:second]
    return data[second:]


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\0\x20" + bytes(0x20)], ids=["bare", "tagged"])
@pytest.mark.parametrize("rate", [8000, 24_000, 48_000])
def test_mp3_that_states_no_length_is_read_to_its_end(rate: int, tag: bytes) -> None:
    high, low = (160, 32) if rate > 8000 else (64, 8)
    first, rest = mp3_frames(tone(0.3, rate=rate), high, rate=rate), mp3_frames(tone(6.0, rate=rate), low, rate=rate)
    found = decode(tag + first + rest)
    assert found.duration_s == pytest.approx(6.3, abs=0.4)  # an estimate from the first frames alone is below 3 s
    assert not found.is_truncated
    frames = len(found.samples)
    assert compute_rms_dbfs(found.samples[frames - rate : frames - rate // 4]) > -20


def test_mp3_that_states_no_length_has_the_samples_that_libsndfile_reads() -> None:
    data = mp3_frames(tone(), 64)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    found = decode(data).samples
    assert np.array_equal(found, expected[529:])  # the delay of the decoder, as in files that state a length


@pytest.mark.parametrize("name", ["wav", "mp3", "flac"])
def test_a_truncated_file_is_marked_as_truncated(name: str) -> None:
    data, _ = encode(tone(10.0), RATE, name)
    found = decode(data[: len(data) // 2])
    assert found.is_truncated
    assert found.declared_duration_s == pytest.approx(10.0, abs=0.01)
    assert 3.0 < found.duration_s < 6.5


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=100), st.integers(0, 120), st.booleans())
def test_mono_16_bit_wav_is_read_as_libsndfile_reads_it(samples: bytes, declared: int, has_other_chunk: bool) -> None:
    other = b"LIST" + struct.pack("<I", 4) + b"INFO" if has_other_chunk else b""
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    chunks = b"WAVE" + fmt + other + b"data" + struct.pack("<I", declared) + samples
    data = b"RIFF" + struct.pack("<I", len(chunks)) + chunks
    present = samples[: declared or len(samples)]
    if len(present) < 2:
        with pytest.raises(UndecodableAudioError, match="without a single sample"):
            decode(data)
        return
    # Without the bytes after the declared end: libsndfile would take them for a broken chunk.
    header = data[: -len(samples) - 4]
    whole = header + struct.pack("<I", len(present)) + present
    expected, rate = soundfile.read(io.BytesIO(whole), dtype="float32")
    found = decode(data)
    assert np.array_equal(found.samples, expected)
    assert (found.sample_rate_hz, found.source_channels, found.container, found.codec) == (rate, 1, "wav", "pcm_16")
    assert (found.declared_duration_s is None) is (declared == 0)
    if declared and len(present) % 2 == 0:
        assert found.declared_duration_s == pytest.approx(declared / 2 / RATE)


def test_channels_are_averaged() -> None:
    sound = tone()
    file = io.BytesIO()
    soundfile.write(file, np.stack([sound, np.zeros_like(sound)], axis=1), RATE, format="WAV")
    found = decode(file.getvalue())
    assert found.source_channels == 2
    assert compute_rms_dbfs(found.samples) == pytest.approx(compute_rms_dbfs(sound) - 6.02, abs=0.01)


def test_a_header_wins_over_what_is_declared() -> None:
    data, _ = encode(tone(), RATE, "wav")
    found = decode(data, declared_format=RawAudioFormat(sample_rate_hz=8000))
    assert (found.container, found.sample_rate_hz) == ("wav", RATE)


@pytest.mark.parametrize(
    ("name", "begin", "like"),
    [("mulaw", b"\xff\xf9", "aac"), ("mulaw", b"\xff\xfb\x7b\x7f", "mp3"), ("pcm_s16le", b"\xff\xfb\x10\x00", "mp3")],
)
def test_samples_that_begin_like_a_frame_of_mpeg_are_what_was_declared(name: str, begin: bytes, like: str) -> None:
    data = begin + encode(tone(rate=8000, level=0.01), 8000, name)[0]
    assert sniff_container(data) == like
    assert decode(data, declared_format=declared(name, 8000)).container == "pcm"
    with pytest.raises(UndecodableAudioError):
        decode(data)


def test_a_damaged_file_of_a_declared_container_is_named_as_such() -> None:
    damaged = b"\xff\xfb\x90\x00" + bytes(100)
    with pytest.raises(UndecodableAudioError, match="mp3 that cannot be read"):
        decode(damaged, declared_format=declared("mp3", 8000))


def test_infinite_samples_of_several_channels_are_clipped_without_a_warning() -> None:
    sound = np.array([[np.inf, -np.inf], [np.nan, np.inf], [3e38, 3e38], [0.5, 0.25]] * 100, "<f4")
    declared_format = RawAudioFormat(format="pcm_f32le", sample_rate_hz=RATE, channels=2)
    decoded = decode(sound.tobytes(), declared_format=declared_format)  # warnings are errors in tests
    assert decoded.samples[:4].tolist() == [0.0, 0.5, 1.0, 0.375]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_without_a_finite_sample_is_not_audio(value: float, channels: int) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.full((RATE, channels), value, np.float32), RATE, format="WAV", subtype="FLOAT")
    with pytest.raises(UndecodableAudioError, match="samples are not finite numbers"):
        decode(file.getvalue())


def test_nan_samples_become_silence() -> None:
    sound = tone()
    sound[:100] = np.nan
    sound[100:200] = np.inf
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="WAV", subtype="FLOAT")
    found = decode(file.getvalue()).samples
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 1.0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"RIFF\x24\x00\x00\x00WAVE",
        b"<html>502</html>" * 20,
        b'{"error": "no audio"}',
        b"ID3" + bytes(200),
        b"fLaC" + b"\xff" * 200,
        b"OggS" + bytes(range(200)),
        b"\xff\xfb" * 300,
        encode(np.zeros(0, np.float32), RATE, "wav")[0],
    ],
)
def test_bytes_that_are_not_audio_are_rejected(data: bytes) -> None:
    with pytest.raises(UndecodableAudioError):
        decode(data)


def test_audio_longer_than_the_limit_is_rejected() -> None:
    bomb, _ = encode(np.zeros(int(MAX_AUDIO_DURATION_S + 1) * 8000, np.float32), 8000, "flac")
    assert len(bomb) < 1_000_000
    with pytest.raises(UndecodableAudioError, match="longer than 1800 s"):
        decode(bomb)


def test_too_many_channels_are_rejected() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((10, MAX_CHANNELS + 1)), RATE, format="WAV")
    with pytest.raises(UndecodableAudioError, match="channels"):
        decode(file.getvalue())


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["wav", "flac", "ogg"]), st.data())
def test_damaged_files_are_decoded_or_rejected(name: str, data: st.DataObject) -> None:
    whole, _ = encode(tone(0.3), RATE, name)
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at in data.draw(st.lists(st.integers(0, max(len(broken) - 1, 0)), max_size=8)):
        if broken:
            broken[at] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(broken))
    except UndecodableAudioError:
        return
    assert 0 < found.duration_s <= MAX_AUDIO_DURATION_S
    assert np.isfinite(found.samples).all()


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_declared_as_samples_are_decoded_or_rejected(data: bytes) -> None:
    try:
        found = decode(data, declared_format=RawAudioFormat(sample_rate_hz=16_000))
    except UndecodableAudioError:
        return
    assert found.container == "pcm" or sniff_container(data)


def test_silence_noise_floor_click_and_speech_level() -> None:
    rng = np.random.default_rng(0)
    seconds = np.zeros(RATE, np.float32)
    assert is_silent(seconds, RATE)
    assert is_silent(seconds + np.float32(0.4), RATE), "a constant offset is not speech"
    assert is_silent((rng.standard_normal(RATE) * 10 ** (-60 / 20)).astype(np.float32), RATE)
    click = seconds.copy()
    click[1000:1050] = 0.9
    assert is_silent(click, RATE)
    assert not is_silent(tone(level=10 ** (-40 / 20)), RATE)
    assert is_silent(np.zeros(0, np.float32), RATE)


def test_leading_silence_ignores_clicks_and_noise() -> None:
    sound = tone(1.0, lead_s=0.5)
    sound[2400:2410] = 0.8
    noise = np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    assert measure_leading_silence_s(sound + noise * np.float32(0.002), RATE) == pytest.approx(0.5, abs=0.02)
    assert measure_leading_silence_s(np.zeros(RATE, np.float32), RATE) == 1.0


def test_the_onset_of_speech_is_the_first_frame_above_an_rms_of_a_hundredth() -> None:
    samples = np.zeros(RATE, np.float32)
    samples[RATE // 10 :] = 0.0099
    samples[RATE // 2 :] = 0.0101
    assert measure_speech_onset_s(samples, RATE) == pytest.approx(0.5)
    assert measure_speech_onset_s(samples[: RATE // 2], RATE) is None
    assert measure_speech_onset_s(samples[:5], RATE) is None


def test_levels_are_those_of_full_scale() -> None:
    time = np.arange(RATE) / RATE
    assert compute_rms_dbfs(np.sin(2 * math.pi * 100 * time).astype(np.float32)) == pytest.approx(-3.01, abs=0.01)
    assert compute_rms_dbfs(np.zeros(10, np.float32)) == compute_rms_dbfs(np.zeros(0, np.float32)) == -math.inf


def test_resampling_keeps_length_and_level() -> None:
    sound = tone()
    made = resample(sound, RATE, 16_000)
    assert len(made) == pytest.approx(32_000, abs=2)
    assert compute_rms_dbfs(made) == pytest.approx(compute_rms_dbfs(sound), abs=0.05)
    assert resample(sound, RATE, RATE) is sound


def test_facts_of_raw_audio_are_enough_to_read_it_again() -> None:
    data, media_type = encode(tone(), 16_000, "mulaw")
    audio = EncodedAudio(data, media_type=media_type, raw_format=RawAudioFormat(format="mulaw", sample_rate_hz=16_000))
    facts = audio.measure_facts("audio/x")
    assert facts.container == "pcm"
    again = EncodedAudio.from_facts(data, facts)
    assert audio.decoded_audio is not None
    assert again.decoded_audio is not None
    assert np.array_equal(again.decoded_audio.samples, audio.decoded_audio.samples)
    assert again.measure_facts("audio/x") == facts
    assert (facts.raw_format, again.raw_format) == ("mulaw", audio.raw_format)
    mono = EncodedAudio.from_facts(data, msgspec.structs.replace(facts, channels=None))
    assert mono.raw_format == RawAudioFormat(format="mulaw", sample_rate_hz=16_000, channels=1)
    stereo = EncodedAudio.from_facts(data, msgspec.structs.replace(facts, channels=2))
    assert stereo.raw_format == RawAudioFormat(format="mulaw", sample_rate_hz=16_000, channels=2)


def test_facts_of_audio_with_a_header_have_no_raw_format() -> None:
    data, media_type = encode(tone(0.1), RATE, "wav")
    facts = EncodedAudio(data, media_type=media_type, raw_format=RawAudioFormat(sample_rate_hz=8_000)).measure_facts(
        "a.wav"
    )
    assert (facts.raw_format, facts.sample_rate_hz) == (None, RATE)
    again = EncodedAudio.from_facts(data, facts)
    assert (again.raw_format, again.media_type, again.measure_facts("a.wav")) == (None, media_type, facts)


def test_facts_of_decoded_audio() -> None:
    data, media_type = encode(tone(), RATE, "wav")
    facts = EncodedAudio(data, media_type=media_type).measure_facts("audio/x.wav")
    assert (facts.file_path, facts.size_bytes, facts.media_type, facts.container) == (
        "audio/x.wav",
        len(data),
        media_type,
        "wav",
    )
    assert (facts.sample_rate_hz, facts.channels, facts.raw_format, facts.audio_duration_s) == (
        RATE,
        1,
        None,
        len(tone()) / RATE,
    )
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.leading_silence_s == 0.0
    assert facts.rms_dbfs == pytest.approx(compute_rms_dbfs(tone()), abs=0.01)


def test_silence_has_no_level() -> None:
    audio = EncodedAudio(encode(np.zeros(RATE, np.float32), RATE, "wav")[0])
    facts = audio.measure_facts("audio/x.wav")
    assert audio.is_silent
    assert (facts.rms_dbfs, facts.leading_silence_s, facts.media_type) == (None, 1.0, None)


def test_facts_of_what_cannot_be_decoded() -> None:
    audio = EncodedAudio(b"OggSbroken", media_type="audio/ogg")
    facts = audio.measure_facts("audio/x")
    assert audio.decoded_audio is None
    assert audio.playback_timeline is None
    assert audio.decode_error is not None
    assert audio.decode_error.startswith("10 bytes: ogg that cannot be read")
    assert not audio.is_silent
    assert facts == AudioFacts(
        sha256=hashlib.sha256(b"OggSbroken").hexdigest(),
        file_path="audio/x",
        size_bytes=10,
        media_type="audio/ogg",
        container="ogg",
    )


def test_audio_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(
        "voicegauge.speech.audio_measurement.decode",
        lambda data, *, declared_format: calls.append(data) or decode(data, declared_format=declared_format),
    )
    audio = EncodedAudio(encode(tone(), RATE, "wav")[0])
    assert calls == [], "nothing is decoded before it is needed"
    for _ in range(2):
        assert audio.decoded_audio is not None
        assert audio.measure_facts("audio/x").audio_duration_s == pytest.approx(2.0)
        assert audio.playback_timeline is not None
        assert not audio.is_silent
        assert audio.decode_error is None
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("media_type", "container"),
    [
        ("audio/mpeg", "mp3"),
        ("Audio/WAV; codecs=1", "wav"),
        ("audio/L16;rate=24000", "pcm"),
        ("application/octet-stream", None),
        (None, None),
    ],
)
def test_media_types_name_containers(media_type: str | None, container: str | None) -> None:
    assert find_container_of_media_type(media_type) == container


def by_ffmpeg(container: str, codec: str, sound: np.ndarray) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=48_000, layout="mono")
        whole = av.AudioFifo()
        block = av.AudioFrame.from_ndarray(sound[None, :], format="fltp", layout="mono")
        block.sample_rate = 48_000
        whole.write(block)
        while (frame := whole.read(960, partial=True)) is not None:
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("container", "codec", "name"), [("ipod", "aac", "m4a"), ("adts", "aac", "aac"), ("webm", "libopus", "webm")]
)
def test_formats_that_libsndfile_cannot_read_are_read_by_ffmpeg(container: str, codec: str, name: str) -> None:
    sound = tone(rate=48_000)
    data = by_ffmpeg(container, codec, sound)
    found = decode(data)
    assert (found.container, found.sample_rate_hz, found.source_channels) == (name, 48_000, 1)
    assert found.duration_s == pytest.approx(2.0, abs=0.06)
    assert compute_rms_dbfs(found.samples) == pytest.approx(compute_rms_dbfs(sound), abs=0.5)
    with pytest.raises(UndecodableAudioError):
        decode(data[:40])


def test_a_high_rate_buys_no_more_memory_by_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    data = by_ffmpeg("ipod", "alac", tone(rate=48_000))
    assert decode(data).duration_s == pytest.approx(2.0, abs=0.06)
    monkeypatch.setattr("voicegauge.speech.decoding.MAX_SAMPLES", 48_000)
    with pytest.raises(UndecodableAudioError, match="longer than 1 s"):
        decode(data)


@pytest.mark.parametrize(
    "name", ["flac", "wav", pytest.param("mp3", marks=pytest.mark.slow), pytest.param("ogg", marks=pytest.mark.slow)]
)
def test_measuring_audio_needs_little_more_memory_than_its_samples(name: str) -> None:
    data = encode(tone(100.0), RATE, name)[0]
    tracemalloc.start()
    try:
        audio = EncodedAudio(data)
        assert audio.measure_facts("a").audio_duration_s == pytest.approx(100.0, abs=0.1)
        assert not audio.is_silent
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert audio.decoded_audio is not None
    assert peak < 1.2 * audio.decoded_audio.samples.nbytes + 8 * 2**20


@pytest.mark.parametrize("name", ["flac", "m4a"])
def test_decoding_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    data = by_ffmpeg("ipod", "alac", tone(60.0)) if name == "m4a" else encode(tone(60.0), RATE, name)[0]
    monkeypatch.setattr("voicegauge.speech.decoding.MAX_AUDIO_DURATION_S", 1.0)
    tracemalloc.start()
    try:
        with pytest.raises(UndecodableAudioError, match="longer than 1 s"):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 60 * RATE
    finally:
        tracemalloc.stop()


def test_the_header_of_a_streamed_wav_is_repaired_without_a_copy() -> None:
    data = bytearray(encode(tone(100.0), RATE, "wav")[0])
    struct.pack_into("<I", data, 40, 0xFFFFFFFF)
    streamed = bytes(data)
    tracemalloc.start()
    try:
        found = decode(streamed)
        assert tracemalloc.get_traced_memory()[1] < 1.2 * found.samples.nbytes + 2**20
    finally:
        tracemalloc.stop()
    assert found.duration_s == pytest.approx(100.0)


def test_a_table_of_samples_that_the_file_does_not_have_takes_no_memory() -> None:
    data = bytearray(by_ffmpeg("ipod", "aac", tone()))
    count = 2**24  # 640 MB in FFmpeg's index
    struct.pack_into(">II", data, data.find(b"stsz") + 8, 1, count)
    for table, offset in ((b"stsc", 16), (b"stts", 12)):
        struct.pack_into(">I", data, data.find(table) + offset, count)
    with contextlib.suppress(
        OSError
    ):  # some kernels have no such file: the peak so far then hides a part of the growth
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = peak_kib()
    with pytest.raises(UndecodableAudioError):
        decode(bytes(data))
    assert peak_kib() - before < 100_000


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
