"""Cases over an uploaded recording: around each documented limit, and of kinds that no document speaks of."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from voicegauge.checks import ExpectedResponse
from voicegauge.client import RequestParts
from voicegauge.conformance.cases.case import ConformanceCase, UploadPadding, rejection_statuses
from voicegauge.conformance.cases.valid_requests import spoken_sentence, text_characters, voice_sample
from voicegauge.contract import Operation
from voicegauge.contract.extension import RejectionReason, UploadLimits
from voicegauge.model import Record, UploadedFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voicegauge.speech.audio import DecodedAudio

    Samples = NDArray[np.float32]

READINGS_OF_MB = 2**20 / 10**6
"""A limit in MB may be meant in MiB: only what passes both readings is surely too large, and only
what passes neither is surely not."""
SHORT_S = 0.5
"""A recording far below any documented least length."""
LONG_S = 90
"""A recording far above what any document asks for, and still below its largest size."""
LOW_RATE_HZ = 8_000
"""A telephone's: below any documented least rate."""
STEP_S = 0.5
"""How far beside a documented length is tried."""


class UploadVariant(Record, frozen=True, kw_only=True):
    """A recording near a documented limit, or of a kind that no document speaks of."""

    description: str
    file: UploadedFile
    situation: RejectionReason = "invalid"
    limit: str | None = None
    """The key of `x-limits.uploads` that it is about; `None` where nothing is documented."""
    valid: bool = False
    """It keeps to that limit."""
    size: int | None = None
    """What it is padded to before it is sent, in bytes."""
    ambiguous: bool = False
    """It passes one reading of MB and not the other: a live service may take it or not."""


def upload_cases(
    operation: Operation, wire: RequestParts, field: str, target: str | None, *, emulated: bool
) -> Iterator[ConformanceCase]:
    """Recordings below, at and beyond each documented limit of a form field, and unusual ones.

    Args:
        operation: what is called.
        wire: a valid request to it.
        field: that carries the recording.
        target: what of the operation's is asked for, by its name.
        emulated: whether the contract's own reading of a size is the one that is held.
    """
    limits = operation.limits.uploads.get(field) or UploadLimits()
    for odd in _odd_uploads(
        UploadLimits(
            max_bytes=limits.max_bytes,
            min_s=limits.min_s,
            max_s=limits.max_s,
            min_sample_rate_hz=limits.min_sample_rate_hz,
            formats=limits.formats,
        ),
        cloned=operation.speech is not None,
    ):
        if odd.ambiguous and not emulated:
            odd = msgspec.structs.replace(odd, limit=None, valid=False)
        yield _case(operation, wire, field, target, odd)


@functools.lru_cache(maxsize=32)
def _odd_uploads(upload: UploadLimits, *, cloned: bool) -> tuple[UploadVariant, ...]:
    """The recordings for one set of limits; what no document speaks of is tried with a voice to clone alone."""
    from voicegauge.speech.audio import decode  # numpy

    voice = (voice_sample().data or b"") if cloned else spoken_sentence().file.data
    decoded = decode(voice)
    found = [*_of_size(decoded, upload), *_of_length(decoded, upload, cloned=cloned), *_of_format(decoded, upload)]
    found += [*_of_rate(decoded, upload), _text(upload), _empty()]
    half = UploadedFile(filename="voice.mp3", media_type="audio/mpeg", data=voice[: len(voice) * 2 // 3])
    found.append(UploadVariant(description="a recording that breaks off", file=half))
    return tuple(odd for odd in found if cloned or odd.limit is not None)


def _of_size(decoded: DecodedAudio, upload: UploadLimits) -> Iterator[UploadVariant]:
    """A WAV with a chunk that holds nothing, so that its size costs no decoding."""
    if upload.max_bytes is None:
        return
    wav = _wav(decoded.samples, decoded.sample_rate_hz, "large.wav")
    surely = int(upload.max_bytes / READINGS_OF_MB)
    sizes = [(surely, True), (upload.max_bytes, True), (upload.max_bytes + 1, False)]
    for size, valid in sizes:
        if valid and upload.formats and "wav" not in upload.formats:
            continue
        description = f"a recording of {size} bytes"
        yield UploadVariant(
            description=description,
            file=wav,
            situation="too-large",
            limit="max_bytes",
            valid=valid,
            size=size,
            ambiguous=size == upload.max_bytes,
        )


def _of_length(decoded: DecodedAudio, upload: UploadLimits, *, cloned: bool) -> Iterator[UploadVariant]:
    lengths = [(SHORT_S, "min_s" if upload.min_s is not None and upload.min_s > SHORT_S else None, False)]
    if cloned:
        lengths.append((LONG_S, "max_s" if upload.max_s is not None and upload.max_s < LONG_S else None, False))
    for name, bound, step in (("min_s", upload.min_s, STEP_S), ("max_s", upload.max_s, -STEP_S)):
        if bound is not None:
            lengths += [(bound, name, True), (bound + step, name, True), (bound - step, name, False)]
    for seconds, limit, valid in lengths:
        file = _wav(_lasting(decoded, seconds), decoded.sample_rate_hz, "voice.wav")
        if seconds > 0 and (upload.max_bytes is None or len(file.data) < upload.max_bytes):
            yield UploadVariant(description=f"a recording of {seconds:g} s", file=file, limit=limit, valid=valid)


def _lasting(decoded: DecodedAudio, seconds: float) -> Samples:
    import numpy as np

    frames = round(seconds * decoded.sample_rate_hz)
    return np.tile(decoded.samples, frames // len(decoded.samples) + 1)[:frames]


def _of_format(decoded: DecodedAudio, upload: UploadLimits) -> Iterator[UploadVariant]:
    from voicegauge.speech.audio import encode_at_bitrate, media_type_of

    known = {name.lower() for name in upload.formats}

    def made(name: str) -> UploadedFile:
        data = encode_at_bitrate(decoded.samples, decoded.sample_rate_hz, name)
        return UploadedFile(filename=f"voice.{name}", media_type=media_type_of(name), data=data)

    for name in ("wav", "mp3", "flac", "ogg", "m4a", "aac", "webm"):
        if name in known:
            yield UploadVariant(description=f"a recording as {name}", file=made(name), limit="formats", valid=True)
    other = next(name for name in ("flac", "ogg", "aac", "wav") if name not in known)
    yield UploadVariant(description=f"a recording as {other}", file=made(other), limit="formats" if known else None)


def _of_rate(decoded: DecodedAudio, upload: UploadLimits) -> Iterator[UploadVariant]:
    from voicegauge.speech.audio import resample

    least = upload.min_sample_rate_hz or 0
    for rate, limit, valid in ((LOW_RATE_HZ, least > LOW_RATE_HZ, False), (least, True, True)):
        if rate:
            file = _wav(resample(decoded.samples, decoded.sample_rate_hz, rate), rate, "voice.wav")
            description = f"a recording of {rate} Hz"
            yield UploadVariant(
                description=description, file=file, limit="min_sample_rate_hz" if limit else None, valid=valid
            )


def _text(upload: UploadLimits) -> UploadVariant:
    text = UploadedFile(filename="voice.txt", media_type="text/plain", data=b"This is no recording.\n" * 100)
    limit = "formats" if upload.formats else None
    return UploadVariant(description="a text instead of a recording", file=text, limit=limit)


def _empty() -> UploadVariant:
    empty = UploadedFile(filename="voice.wav", media_type="audio/wav", data=b"")
    return UploadVariant(description="a file with nothing in it", file=empty)


def _wav(samples: Samples, rate: int, name: str) -> UploadedFile:
    from voicegauge.speech.audio import encode

    data, media_type = encode(samples, rate, "wav")
    return UploadedFile(filename=name, media_type=media_type, data=data)


def _case(
    operation: Operation, wire: RequestParts, field: str, target: str | None, odd: UploadVariant
) -> ConformanceCase:
    own = f"{operation.pointer}/x-limits" if "x-limits" in operation.data else "/x-limits"
    refused = odd.limit is not None and not odd.valid
    return ConformanceCase(
        id=f"{operation.contract.id}/{operation.id}: {odd.description}",
        provider=operation.contract.id,
        operation=operation.id,
        target=target,
        expected=ExpectedResponse(
            verdict="rejected" if refused else "accepted" if odd.valid else "either",
            statuses=_statuses(operation, odd) if refused else (),
            kind="invalid" if refused else "valid" if odd.valid else "undocumented",
            description=odd.description,
            contract_pointer=f"{own}/uploads/{field}/{odd.limit}" if odd.limit else f"{operation.pointer}/requestBody",
        ),
        wire=RequestParts(
            path=wire.path,
            query=wire.query,
            headers=wire.headers,
            body={**wire.body, field: odd.file},
            media_type=wire.media_type,
        ),
        text_characters=text_characters(operation, wire),
        padding=UploadPadding(field=field, size=odd.size) if odd.size is not None else None,
    )


def _statuses(operation: Operation, odd: UploadVariant) -> tuple[int, ...]:
    return rejection_statuses(operation, odd.situation) or rejection_statuses(operation, "invalid")


def padded_request(case: ConformanceCase) -> RequestParts | None:
    """What a case sends: a padded WAV is made only now, since several of a hundred megabytes would fill the memory."""
    if case.padding is None or case.wire is None:
        return case.wire
    file: UploadedFile = case.wire.body[case.padding.field]
    whole = msgspec.structs.replace(file, data=_filled(file.data, case.padding.size))
    return msgspec.structs.replace(case.wire, body={**case.wire.body, case.padding.field: whole})


def _filled(wav: bytes, size: int) -> bytes:
    """A WAV of `size` bytes: a chunk of zeros, which every reader leaves out (RIFF), stands behind its samples."""
    length, filler = ((size - 8).to_bytes(4, "little"), (size - len(wav) - 8).to_bytes(4, "little"))
    return b"".join((wav[:4], length, wav[8:], b"JUNK", filler)).ljust(size, b"\0")
