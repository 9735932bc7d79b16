"""Builds the speech request of a planned sample, with the voice sample that a target needs."""

from __future__ import annotations

from collections.abc import Mapping

from voicegauge.bench.planning.plan import BenchPlan
from voicegauge.bench.planning.suite import SuiteText
from voicegauge.bench.planning.text_limits import check_text_lengths
from voicegauge.bench.planning.voice_samples import check_voice_sample, load_default_voice_sample
from voicegauge.client import RequestParts, map_speech_request
from voicegauge.contract import BaseTarget, Target
from voicegauge.model import Provenance, SpeechRequest, VoiceSample


def build_speech_request(target: Target, text: SuiteText, voice_sample: VoiceSample | None = None) -> SpeechRequest:
    """Build the speech request that asks `target` for `text`.

    Args:
        target: the target; fields that the target's contract does not map are left out.
        text: the text and its language.
        voice_sample: the user's own voice sample, sent only to targets that need one. Without it, the bundled
            recording is sent to targets that need a file.
    """
    mapped_fields, needs = target.speech.request_fields, target.target_spec.required_fields
    sample = voice_sample if "voice_sample_url" in needs or "voice_sample_upload" in needs else None
    if sample is not None and sample.data is not None and "voice_sample_upload" not in mapped_fields:
        sample = None  # the target takes a URL only, and its contract has a default one
    if sample is None and "voice_sample_upload" in needs:
        sample = load_default_voice_sample()
    sends_language = "language" in mapped_fields or text.language in target.target_spec.supported_languages
    return SpeechRequest(text=text.text, language=text.language if sends_language else None, voice_sample=sample)


def validate_requests_can_be_built(
    plan: BenchPlan, targets: Mapping[str, BaseTarget], voice_sample: VoiceSample | None
) -> None:
    """Build one request per target and language, in order to report an unusable input before anything is sent.

    Raises:
        UsageError: a target needs an input that is missing, or does not accept the voice sample or a text.
    """
    if voice_sample is not None:
        check_voice_sample(voice_sample, (target for target in targets.values() if isinstance(target, Target)))
    first_texts = {(one.target, one.text.language): one.text for row in plan.rounds for one in row}
    for (name, _), text in first_texts.items():
        target = targets[name]
        if isinstance(target, Target):
            map_speech_request(target, build_speech_request(target, text, voice_sample))
    for name, target in targets.items():
        texts = {one.text for row in plan.rounds for one in row if one.target == name}
        if isinstance(target, Target) and texts:
            _check_text_lengths(target, texts, voice_sample, is_live=plan.provenance is Provenance.LIVE)


def _check_text_lengths(
    target: Target, texts: set[SuiteText], voice_sample: VoiceSample | None, *, is_live: bool
) -> None:
    def build_request(text: SuiteText) -> RequestParts:
        return map_speech_request(target, build_speech_request(target, text, voice_sample))

    check_text_lengths(target, texts, build_request, is_live=is_live)
