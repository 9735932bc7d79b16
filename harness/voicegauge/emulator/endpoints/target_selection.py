"""Selects the target that a request addresses."""

from __future__ import annotations

import dataclasses

import msgspec

from voicegauge.contract import MISSING, Target
from voicegauge.contract.extension import ResponseAudio
from voicegauge.emulator.audio import SynthesisRequest, read_speech_field
from voicegauge.emulator.http import ParsedRequest, Rejection


def select_target(request: ParsedRequest, *, rejects_unsupported_values: bool = True) -> Target:
    """Return the target whose constants, required fields and languages best match the request.

    If none matches, it is the first target of the operation.

    Raises:
        Rejection: no target matches, `rejects_unsupported_values` is set, and the contract documents an error for
            unknown models.
    """
    targets = [t for t in request.operation.contract.targets.values() if t.operation is request.operation]
    scored = [
        (score, target) for target in targets if (score := _compute_target_match_score(request, target)) is not None
    ]
    if scored:
        return max(scored, key=lambda pair: pair[0])[1]
    errors = (media for spec in request.operation.responses.values() for media in spec.media_types.values())
    if rejects_unsupported_values and any(
        example.rejection_reason == "not-found" for media in errors for example in media.examples
    ):
        location = next(location for target in targets for location in target.target_spec.request_constants)
        raise Rejection("not-found", location.field_name, "no such model")
    return targets[0]


def _compute_target_match_score(request: ParsedRequest, target: Target) -> tuple[int, bool] | None:
    """Return a score of how well a request matches a target; `None` if it contradicts one of the target's constants."""
    score = 0
    for location, constant in target.target_spec.request_constants.items():
        value = request.read_value(location)
        if value is not MISSING and value != constant:
            return None
        score += 2 * (value == constant)
    for word in target.target_spec.required_fields:
        score += -1 if request.read_value(target.speech.request_fields[word].location) is MISSING else 1
    language = read_speech_field(request, target, "language")
    return (
        score,
        language is MISSING
        or not target.target_spec.supported_languages
        or language in target.target_spec.supported_languages,
    )


def remove_target_specific_audio(target: Target) -> Target:
    """Return `target` without its own description of the audio in responses.

    Its responses then carry audio as those of the operation's other targets do.
    """
    spec = msgspec.structs.replace(target.target_spec, response_audio=None)
    return target if target.target_spec.response_audio is None else dataclasses.replace(target, target_spec=spec)


def count_billable_characters(request: ParsedRequest, target: Target, synthesis: SynthesisRequest) -> int:
    """Return the number of characters to charge: those of the text in the request, not of the text that is spoken."""
    text = read_speech_field(request, target, "text")
    if isinstance(text, str):
        return target.count_charged_characters(text, includes_template=True)
    return target.count_charged_characters(synthesis.text)


def find_response_audio(target: Target) -> ResponseAudio:
    """Return how and where responses carry a target's audio.

    The audio is in the response to the request itself or, if the request starts a job, in a later response.
    """
    if target.response.audio is not None:
        return target.response.audio
    assert target.job_operation is not None
    assert target.job_operation.job is not None
    return target.job_operation.job.speech_audio
