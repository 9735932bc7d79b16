"""Encodes and decodes equal audio once per test process. The same emulated speech is in hundreds of tests."""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
import pytest

from voicegauge.model.exchange import FileContent
from voicegauge.speech import decoding, encoding
from voicegauge.speech.decoding import DecodedAudio

MAX_CACHED_RESULTS = 300
_ResultT = TypeVar("_ResultT")
_encode_with_libsndfile, _encode_track = encoding._encode_with_libsndfile, encoding._encode_track
_decode_container = decoding._decode_container


def encode_once(patch: pytest.MonkeyPatch) -> None:
    """Keep the files that `encode` writes, and what `decode` reads from files, as arrays that cannot be changed."""
    files: OrderedDict[Hashable, bytes] = OrderedDict()
    decoded: OrderedDict[Hashable, DecodedAudio] = OrderedDict()

    @functools.wraps(_encode_with_libsndfile)
    def write(samples: Any, sample_rate_hz: int, format_name: str) -> bytes:
        key = (hashlib.sha256(samples.tobytes()).digest(), samples.shape, samples.dtype, sample_rate_hz, format_name)
        return _get_or_build(files, key, lambda: _encode_with_libsndfile(samples, sample_rate_hz, format_name))

    @functools.wraps(_encode_track)
    def write_track(samples: Any, sample_rate_hz: int, ffmpeg_format: Any, bitrate_kbps: int) -> bytes:
        given = (samples, sample_rate_hz, ffmpeg_format, bitrate_kbps)
        key = (hashlib.sha256(samples.tobytes()).digest(), samples.shape, samples.dtype, *given[1:])
        return _get_or_build(files, key, lambda: _encode_track(*given))

    @functools.wraps(_decode_container)
    def decode(data: FileContent, container: str | None) -> DecodedAudio:
        def read() -> DecodedAudio:
            audio = _decode_container(data, container)
            audio.samples.setflags(write=False)
            return audio

        limits_of_the_test = (decoding.MAX_AUDIO_DURATION_S, decoding.MAX_SAMPLES)
        return _get_or_build(decoded, (hashlib.sha256(data).digest(), container, limits_of_the_test), read)

    patch.setattr(encoding, "_encode_with_libsndfile", write)
    patch.setattr(encoding, "_encode_track", write_track)
    patch.setattr(decoding, "_decode_container", decode)


def encode_each_time(patch: pytest.MonkeyPatch) -> None:
    """Encode and decode as users do, for tests of the encoder and the decoder."""
    patch.setattr(encoding, "_encode_with_libsndfile", _encode_with_libsndfile)
    patch.setattr(encoding, "_encode_track", _encode_track)
    patch.setattr(decoding, "_decode_container", _decode_container)


def _get_or_build(results: OrderedDict[Hashable, _ResultT], key: Hashable, build: Callable[[], _ResultT]) -> _ResultT:
    if key not in results:
        results[key] = build()
        if len(results) > MAX_CACHED_RESULTS:
            results.popitem(last=False)
    return results[key]


def make_changing_noise(seconds: float, sample_rate_hz: int, *, level: float = 0.1, text: str = "") -> Any:
    """Return noise whose level and spectrum change as those of speech do, float32 of shape (frames,).

    Equal arguments give equal samples, other texts others.
    """
    random = np.random.default_rng(zlib.crc32(text.encode(errors="surrogatepass")))
    noise = random.standard_normal(int(seconds * sample_rate_hz))
    pieces = []
    for piece in np.array_split(noise, max(4, round(seconds * 8))):
        width, loudness = int(random.integers(1, 12)), random.uniform(0.1, 1.5)
        smoothed = np.convolve(piece, np.ones(width) / width**0.5, "same") if len(piece) > width else piece
        pieces.append(smoothed[: len(piece)] * loudness * level)
    return np.concatenate(pieces).astype(np.float32)
