"""Cases that upload audio to be transcribed or converted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from voicegauge.client import RequestParts, build_audio_input_request
from voicegauge.conformance.cases.case import ConformanceCase, SkippedCase, build_case, expect_acceptance
from voicegauge.conformance.cases.valid_requests import (
    SpokenSentence,
    add_required_fields,
    load_spoken_sentence,
    load_voice_sample,
)
from voicegauge.contract import AudioInputTarget, Operation
from voicegauge.contract.extension import AudioInputField
from voicegauge.model import UploadedFile

OptionalFieldValues = dict[AudioInputField, object]
"""Values of optional request fields, by the provider-independent names of the fields."""


def plan_audio_input_cases(
    operation: Operation, cases: Iterable[ConformanceCase | SkippedCase], default_target: AudioInputTarget | None = None
) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield `cases`, each with the target that its request addresses, then further requests to every target.

    Args:
        operation: an operation with `x-transcription` or `x-conversion`.
        cases: the cases that are planned for every operation with a request body, here for `operation`.
        default_target: the target of a case whose request selects none of the operation's targets; by default the
            first of these targets.
    """
    targets = [target for target in operation.contract.audio_input_targets.values() if target.operation is operation]
    for case in cases:
        yield (
            case if isinstance(case, SkippedCase) else _set_target_of_case(case, targets, default_target or targets[0])
        )
    for target in targets:
        for options in _iterate_optional_field_sets(target):
            yield _build_recording_upload_case(target, options)


def _iterate_optional_field_sets(target: AudioInputTarget) -> Iterator[OptionalFieldValues]:
    """Yield an empty set of optional fields, then the fields that make a transcription more detailed, if any."""
    yield {}
    if target.transcription is not None:
        flags: tuple[AudioInputField, ...] = ("timestamps", "diarize")
        yield {flag: True for flag in flags if flag in target.audio_input.request_fields}


def _build_recording_upload_case(target: AudioInputTarget, optional_fields: OptionalFieldValues) -> ConformanceCase:
    sentence = choose_recorded_sentence(target)
    description = f"a valid recording{' with ' + ' and '.join(optional_fields) if optional_fields else ''}"
    return build_case(
        target.operation,
        expect_acceptance(description, target.pointer),
        target_name=target.name,
        id_prefix=target.id,
        request=add_required_fields(
            target.operation, build_audio_input_request(target, sentence.file, optional_fields)
        ),
        audio_duration_s=sentence.audio_duration_s,
        is_in_every_plan=not optional_fields,
    )


def _set_target_of_case(
    case: ConformanceCase, targets: list[AudioInputTarget], default_target: AudioInputTarget
) -> ConformanceCase:
    """Return `case` with the target whose constants its request contains; with `default_target` if there is none.

    If the request uploads the bundled recording for voice cloning, the shorter recording of one sentence replaces it.
    """
    request = case.request
    selected = (target for target in targets if _sends_target_constants(request or RequestParts(), target))
    target = next(selected, default_target)
    sentence = choose_recorded_sentence(target)
    if request is not None and find_uploaded_audio(target, case) == load_voice_sample().data:
        request = msgspec.structs.replace(request, body={**request.body, _get_audio_field_name(target): sentence.file})
    return msgspec.structs.replace(
        case, target_name=target.name, request=request, audio_duration_s=sentence.audio_duration_s
    )


def _sends_target_constants(request: RequestParts, target: AudioInputTarget) -> bool:
    return all(
        location.read_request(request) == value for location, value in target.target_spec.request_constants.items()
    )


def choose_recorded_sentence(target: AudioInputTarget) -> SpokenSentence:
    """Return the recording to upload, in a format that the operation of `target` accepts."""
    limits = target.operation.limits.upload_limits.get(_get_audio_field_name(target))
    formats = limits.accepted_formats if limits is not None else ()
    return load_spoken_sentence("mp3" if not formats or "mp3" in formats else formats[0])


def find_uploaded_audio(target: AudioInputTarget, case: ConformanceCase) -> bytes | None:
    """Return the bytes of the recording that `case` uploads; `None` if it uploads no file."""
    body = case.request.body if case.request is not None else None
    file = body.get(_get_audio_field_name(target)) if isinstance(body, dict) else None
    return file.data if isinstance(file, UploadedFile) else None


def _get_audio_field_name(target: AudioInputTarget) -> str:
    return target.audio_input.request_fields["audio"].location.pointer_tokens[0]
