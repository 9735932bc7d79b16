"""Cases over an uploaded recording: past each documented limit, and of kinds that no document speaks of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from voicegauge.checks import Expected
from voicegauge.client import WireRequest
from voicegauge.conformance.cases import Case, statuses_for
from voicegauge.conformance.requests import voice_sample
from voicegauge.contract import Target, parse_place
from voicegauge.contract.extension import Situation, Upload
from voicegauge.model import Record, UploadedFile, VoiceSample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voicegauge.speech.audio import Decoded

    Samples = NDArray[np.float32]

READINGS_OF_MB = 2**20 / 10**6
"""A limit in MB may be meant in MiB: only what passes both readings is surely too large."""
SHORT_S = 0.5
"""A recording far below any documented least length."""
LONG_S = 90
"""A recording far above what any document asks for, and still below its largest size."""
LOW_RATE_HZ = 8_000
"""A telephone's: below any documented least rate."""


class OddUpload(Record, frozen=True, kw_only=True):
    """A recording past one documented limit, or of a kind that no document speaks of."""

    says: str
    file: UploadedFile
    situation: Situation = "invalid"
    limit: str | None = None
    """The key of `x-limits.uploads` that it breaks; `None` where nothing is documented."""


def upload_cases(target: Target, wire: WireRequest) -> Iterator[Case]:
    """Recordings past each documented limit of the voice sample, and unusual ones."""
    slot = target.speech.request.get("voice_sample_upload")
    if slot is None or "voice_sample_upload" not in target.spec.needs:
        return
    field = parse_place(slot.at).tokens[0]
    upload = target.operation.limits.uploads.get(field)
    for odd in _odd_uploads(upload or Upload()):
        yield _case(target, wire, field, odd)


def _odd_uploads(upload: Upload) -> Iterator[OddUpload]:
    from voicegauge.speech.audio import decode  # numpy

    voice = voice_sample()
    yield from _of_size(voice, upload)
    yield from _of_length(decode(voice.data or b""), upload)
    yield from _of_kind(decode(voice.data or b""), upload)


def _of_size(voice: VoiceSample, upload: Upload) -> Iterator[OddUpload]:
    data = voice.data or b""
    if upload.max_bytes is not None:
        size = int(upload.max_bytes * READINGS_OF_MB) + 1
        file = UploadedFile(filename=voice.filename, media_type=voice.media_type, data=data.ljust(size, b"\0"))
        yield OddUpload(says=f"a recording of {size} bytes", file=file, situation="too-large", limit="max_bytes")
    half = UploadedFile(filename=voice.filename, media_type=voice.media_type, data=data[: len(data) * 2 // 3])
    yield OddUpload(says="a recording that breaks off", file=half)


def _of_length(decoded: Decoded, upload: Upload) -> Iterator[OddUpload]:
    import numpy as np

    rate = decoded.sample_rate_hz
    short = _wav(decoded.samples[: int(rate * SHORT_S)], rate, "short.wav")
    limit = "min_s" if upload.min_s is not None and upload.min_s > SHORT_S else None
    yield OddUpload(says=f"a recording of {SHORT_S} s", file=short, limit=limit)
    times = int(LONG_S / decoded.audio_s) + 1
    long = _wav(np.tile(decoded.samples, times), rate, "long.wav")
    if upload.max_bytes is None or len(long.data) < upload.max_bytes:
        yield OddUpload(says=f"a recording of {LONG_S} s", file=long)


def _of_kind(decoded: Decoded, upload: Upload) -> Iterator[OddUpload]:
    from voicegauge.speech.audio import encode, resample

    limit = "min_sample_rate_hz" if (upload.min_sample_rate_hz or 0) > LOW_RATE_HZ else None
    low = _wav(resample(decoded.samples, decoded.sample_rate_hz, LOW_RATE_HZ), LOW_RATE_HZ, "low.wav")
    yield OddUpload(says=f"a recording of {LOW_RATE_HZ} Hz", file=low, limit=limit)
    known = {name.lower() for name in upload.formats}
    other = next(name for name in ("flac", "ogg", "wav") if name not in known)
    data, media_type = encode(decoded.samples, decoded.sample_rate_hz, other)
    file = UploadedFile(filename=f"voice.{other}", media_type=media_type, data=data)
    yield OddUpload(says=f"a recording as {other}", file=file, limit="formats" if known else None)
    text = UploadedFile(filename="voice.txt", media_type="text/plain", data=b"This is no recording.\n" * 100)
    yield OddUpload(says="a text instead of a recording", file=text, limit="formats" if known else None)
    empty = UploadedFile(filename="voice.wav", media_type="audio/wav", data=b"")
    yield OddUpload(says="a file with nothing in it", file=empty)


def _wav(samples: Samples, rate: int, name: str) -> UploadedFile:
    from voicegauge.speech.audio import encode

    data, media_type = encode(samples, rate, "wav")
    return UploadedFile(filename=name, media_type=media_type, data=data)


def _case(target: Target, wire: WireRequest, field: str, odd: OddUpload) -> Case:
    operation = target.operation
    own = f"{operation.pointer}/x-limits" if "x-limits" in operation.data else "/x-limits"
    refused = odd.limit is not None
    return Case(
        id=f"{operation.contract.id}/{operation.id}: {odd.says}",
        provider=operation.contract.id,
        operation=operation.id,
        target=target.name,
        expected=Expected(
            verdict="refused" if refused else "either",
            statuses=_statuses(target, odd) if refused else (),
            why="invalid" if refused else "unsaid",
            says=odd.says,
            at=f"{own}/uploads/{field}/{odd.limit}" if refused else f"{operation.pointer}/requestBody",
        ),
        wire=WireRequest(
            path=wire.path,
            query=wire.query,
            headers=wire.headers,
            body={**wire.body, field: odd.file},
            media_type=wire.media_type,
        ),
    )


def _statuses(target: Target, odd: OddUpload) -> tuple[int, ...]:
    return statuses_for(target.operation, odd.situation) or statuses_for(target.operation, "invalid")
