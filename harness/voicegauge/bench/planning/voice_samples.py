"""Reads the voice sample of targets that clone a voice, and compares it with the limits of their contracts."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from pathlib import Path

from voicegauge.contract import MISSING, Target, read_pointer
from voicegauge.contract.extension import UploadLimits
from voicegauge.data_folders import find_bundled_folder
from voicegauge.errors import DataError, UsageError
from voicegauge.files import read_file
from voicegauge.formats import escape_pointer_token, unescape_pointer_token
from voicegauge.model import VoiceSample
from voicegauge.speech.audio import DecodedAudio, UndecodableAudioError, decode, find_container_of_format, is_silent

MAX_VOICE_SAMPLE_BYTES = 64 * 2**20
"""Largest file that is accepted as a voice sample.

It is larger than any documented upload limit, and keeps a huge file at a mistyped path from being read into memory.
"""


def load_default_voice_sample() -> VoiceSample:
    """Return the bundled recording, which is sent to targets that clone a voice if the user names no voice sample."""
    return read_voice_sample(str(find_bundled_folder("benchmarks") / "suites" / "voice" / "reference.mp3"))


def read_voice_sample(url_or_file: str) -> VoiceSample:
    """Return a voice sample from a URL or a file.

    Args:
        url_or_file: an http(s) URL, which is passed on to the provider, or the path of an audio file.

    Raises:
        DataError: the file cannot be read, is too large, is not audio or is silent.
    """
    if url_or_file.startswith(("http://", "https://")):
        return VoiceSample(url=url_or_file)
    path = Path(url_or_file)
    try:
        if path.stat().st_size > MAX_VOICE_SAMPLE_BYTES:
            raise DataError(f"{path}: is too large for a voice sample (limit: {MAX_VOICE_SAMPLE_BYTES} bytes)")
        data = read_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        audio = decode(data)
    except UndecodableAudioError as error:
        raise DataError(f"{path}: is not a valid voice sample: {error}") from error
    if is_silent(audio.samples, audio.sample_rate_hz):
        raise DataError(f"{path}: is silent: record a voice that speaks")
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return VoiceSample(data=data, filename=path.name, media_type=media_type)


def check_voice_sample(voice_sample: VoiceSample, targets: Iterable[Target]) -> None:
    """Compare the user's voice sample with the documented limits of the targets that it is uploaded to.

    Raises:
        UsageError: the sample is too large, too short, too long, or of another format or sample rate than the contract
            of a target allows; the message names the line of the limit.
    """
    for target in targets:
        slot = target.speech.request_fields.get("voice_sample_upload")
        if voice_sample.data is None or slot is None or "voice_sample_upload" not in target.target_spec.required_fields:
            continue
        field = slot.location.pointer_tokens[0]
        limits = target.operation.limits.upload_limits.get(field)
        for key, reason in _iterate_violated_limits(voice_sample.data, limits) if limits else ():
            place = target.contract.document.find_position(_find_limit_pointer(target, field, key))
            raise UsageError(f"{voice_sample.filename}: {reason}: limit of {target.id} ({place.path}:{place.line})")


def needs_voice_sample(target: Target) -> bool:
    """Whether every request to `target` must contain a voice sample."""
    return not {"voice_sample_url", "voice_sample_upload"}.isdisjoint(target.target_spec.required_fields)


def find_targets_needing_voice_sample_url(targets: Iterable[Target]) -> tuple[str, ...]:
    """Return the ids of the targets that need the URL of a voice sample, because a file cannot be uploaded to them."""
    return tuple(
        target.id
        for target in targets
        if "voice_sample_url" in target.target_spec.required_fields
        and "voice_sample_upload" not in target.speech.request_fields
    )


def _iterate_violated_limits(voice_sample_bytes: bytes, limits: UploadLimits) -> Iterator[tuple[str, str]]:
    """Yield the keys of the violated limits, each with the sentence that explains it."""
    if limits.max_bytes is not None and len(voice_sample_bytes) > limits.max_bytes:
        yield "max_bytes", f"has {len(voice_sample_bytes):,} bytes, at most {limits.max_bytes:,} are allowed"
    audio = decode(voice_sample_bytes)
    if limits.accepted_formats and not _has_allowed_format(audio, limits):
        yield "formats", f"is {audio.container}, {' or '.join(limits.accepted_formats)} is required"
    if limits.min_duration_s is not None and audio.duration_s < limits.min_duration_s:
        yield "min_s", f"is {audio.duration_s:.1f} s long, at least {limits.min_duration_s:g} s are required"
    if limits.max_duration_s is not None and audio.duration_s > limits.max_duration_s:
        yield "max_s", f"is {audio.duration_s:.1f} s long, at most {limits.max_duration_s:g} s are allowed"
    if limits.min_sample_rate_hz is not None and audio.sample_rate_hz < limits.min_sample_rate_hz:
        yield (
            "min_sample_rate_hz",
            f"has a sample rate of {audio.sample_rate_hz:,} Hz, at least {limits.min_sample_rate_hz:,} Hz are required",
        )


def _has_allowed_format(audio: DecodedAudio, limits: UploadLimits) -> bool:
    allowed = {name.lower() for name in limits.accepted_formats}
    containers = {find_container_of_format(name) for name in allowed}
    return audio.container in allowed | containers or None in containers


def _find_limit_pointer(target: Target, upload_field: str, limit_key: str) -> str:
    """Return where the limit is in the document: at the operation, or at the root for all operations."""
    suffix = f"/x-limits/uploads/{escape_pointer_token(upload_field)}/{limit_key}"
    own = f"{target.operation.pointer}{suffix}"
    pointer_tokens = [unescape_pointer_token(token) for token in own.split("/")[1:]]
    return suffix if read_pointer(target.contract.document.data, pointer_tokens) is MISSING else own
