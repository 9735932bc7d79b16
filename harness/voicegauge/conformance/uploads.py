"""Cases over the documented limits of an uploaded recording."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks import Expected
from voicegauge.client import WireRequest
from voicegauge.conformance.cases import Case, statuses_for
from voicegauge.conformance.requests import voice_sample
from voicegauge.contract import Target, parse_place
from voicegauge.contract.extension import Situation, Upload
from voicegauge.model import Record, UploadedFile

READINGS_OF_MB = 2**20 / 10**6
"""A limit in MB may be meant in MiB: only what passes both readings is surely too large."""
SHORT_S = 0.5
"""A recording far below any documented least length."""


class BrokenUpload(Record, frozen=True, kw_only=True):
    """A recording past one documented limit."""

    says: str
    file: UploadedFile
    situation: Situation
    limit: str
    """The key of `x-limits.uploads` that it tests."""


def upload_cases(target: Target, wire: WireRequest) -> Iterator[Case]:
    """Recordings past each documented limit of the voice sample."""
    slot = target.speech.request.get("voice_sample_upload")
    if slot is None or "voice_sample_upload" not in target.spec.needs:
        return
    field = parse_place(slot.at).tokens[0]
    upload = target.operation.limits.uploads.get(field)
    for broken in _broken_uploads(upload) if upload else ():
        yield _case(target, wire, field, broken)


def _broken_uploads(upload: Upload) -> Iterator[BrokenUpload]:
    from voicegauge.speech.audio import decode, encode  # numpy

    voice = voice_sample()
    data = voice.data or b""
    if upload.max_bytes is not None:
        size = int(upload.max_bytes * READINGS_OF_MB) + 1
        file = UploadedFile(filename=voice.filename, media_type=voice.media_type, data=data.ljust(size, b"\0"))
        yield BrokenUpload(says=f"a recording of {size} bytes", file=file, situation="too-large", limit="max_bytes")
    if upload.min_s is not None and upload.min_s > SHORT_S:
        decoded = decode(data)
        cut = decoded.samples[: int(decoded.sample_rate_hz * SHORT_S)]
        short, media_type = encode(cut, decoded.sample_rate_hz, "wav")
        file = UploadedFile(filename="short.wav", media_type=media_type, data=short)
        yield BrokenUpload(says=f"a recording of {SHORT_S} s", file=file, situation="invalid", limit="min_s")
    if upload.formats:
        file = UploadedFile(filename="voice.txt", media_type="text/plain", data=b"This is no recording.\n" * 100)
        yield BrokenUpload(says="a text instead of a recording", file=file, situation="invalid", limit="formats")


def _case(target: Target, wire: WireRequest, field: str, broken: BrokenUpload) -> Case:
    operation = target.operation
    own = f"{operation.pointer}/x-limits" if "x-limits" in operation.data else "/x-limits"
    return Case(
        id=f"{operation.contract.id}/{operation.id}: {broken.says}",
        provider=operation.contract.id,
        operation=operation.id,
        target=target.name,
        expected=Expected(
            verdict="refused",
            statuses=statuses_for(operation, broken.situation) or statuses_for(operation, "invalid"),
            why="invalid",
            says=broken.says,
            at=f"{own}/uploads/{field}/{broken.limit}",
        ),
        wire=WireRequest(
            path=wire.path,
            query=wire.query,
            headers=wire.headers,
            body={**wire.body, field: broken.file},
            media_type=wire.media_type,
        ),
    )
