"""Builds the speech request of a planned sample, with the voice sample that a target needs."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path

from voicegauge.bench.planning.plan import BenchPlan
from voicegauge.bench.planning.suite import SuiteText
from voicegauge.client import map_speech_request
from voicegauge.contract import BaseTarget, Target
from voicegauge.data import find_bundled_folder
from voicegauge.errors import DataError
from voicegauge.files import read_file
from voicegauge.model import SpeechRequest, VoiceSample
from voicegauge.speech.audio import UndecodableAudioError, decode

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
        DataError: the file cannot be read, is too large or is not audio.
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
        decode(data)
    except UndecodableAudioError as error:
        raise DataError(f"{path}: is not a valid voice sample: {error}") from error
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return VoiceSample(data=data, filename=path.name, media_type=media_type)


def build_speech_request(target: Target, text: SuiteText, voice_sample: VoiceSample | None = None) -> SpeechRequest:
    """Build the speech request that asks `target` for `text`.

    Args:
        target: the target; fields that the target's contract does not map are left out.
        text: the text and its language.
        voice_sample: the user's own voice sample, sent only to targets that need one. Without it, the bundled
            recording is sent to targets that need a file.
    """
    mapped_fields, needs = target.speech.request, target.spec.required_fields
    sample = voice_sample if "voice_sample_url" in needs or "voice_sample_upload" in needs else None
    if sample is not None and sample.data is not None and "voice_sample_upload" not in mapped_fields:
        sample = None  # the target takes a URL only, and its contract has a default one
    if sample is None and "voice_sample_upload" in needs:
        sample = load_default_voice_sample()
    sends_language = "language" in mapped_fields or text.language in target.spec.languages
    return SpeechRequest(text=text.text, language=text.language if sends_language else None, voice_sample=sample)


def validate_requests_can_be_built(
    plan: BenchPlan, targets: Mapping[str, BaseTarget], voice_sample: VoiceSample | None
) -> None:
    """Build one request per target and language, in order to report a missing input before anything is sent.

    Raises:
        UsageError: a target needs an input that is missing.
    """
    first_texts = {(one.target, one.text.language): one.text for row in plan.rounds for one in row}
    for (name, _), text in first_texts.items():
        target = targets[name]
        if isinstance(target, Target):
            map_speech_request(target, build_speech_request(target, text, voice_sample))
