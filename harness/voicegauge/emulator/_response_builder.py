"""Builds the successful responses of a provider: fills documented examples with the values of the request."""

from __future__ import annotations

import copy
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote as quote_url
from urllib.parse import urlencode

from voicegauge.contract.contract import AudioInputTarget, Contract, Target
from voicegauge.contract.document_parts import Example, MediaType
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.extension.speech import ResponseAudio, TranscriptionResponse
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output import EmulatedResponse
from voicegauge.emulator._provider_state import EmulatedJob, GeneratedAudio
from voicegauge.emulator._request import (
    ParsedRequest,
    Rejection,
    can_have_value_at,
    has_not_found_example,
    is_location_documented,
    read_value_at,
    read_value_or_default,
)
from voicegauge.emulator._response_bodies import (
    FILE_EXTENSION_BY_FORMAT,
    build_success_response,
    fill_body_from_documented_item,
    filter_lists_by_query,
    find_json_media,
    has_object_with_value,
    is_documented_id,
    read_requested_ids,
    replace_url_prefixes,
    set_audio_media_type,
    write_audio_or_url,
    write_body_values,
    write_charges_and_balances,
    write_job_times,
    write_text_body,
    write_usage,
)
from voicegauge.emulator._schema_values import PLACEHOLDER_URL, iterate_body_schemas
from voicegauge.emulator._speech_synthesis import SynthesisRequest
from voicegauge.emulator.process import CONTROL_PREFIX
from voicegauge.formats.locations import MISSING, Location

_MIN_EMBEDDED_ID_LENGTH = 6
"""Minimum length of a documented id that is replaced within longer texts, such as URLs. A shorter id, such as "1", is
replaced only where it is the whole value."""


class ResponseBuilder:
    """Builds the responses of one provider from its contract."""

    def __init__(self, contract: Contract) -> None:
        """Create a builder of responses as `contract` documents them."""
        self._contract = contract

    def iterate_candidate_paths(self, path: str) -> Iterator[str]:
        """Yield the paths to look up in the contract: `path`, then `path` without the path prefix of each server."""
        yield path
        for server in self._contract.servers.values():
            if (rest := server.remove_path_prefix(path)) is not None:
                yield rest

    def replace_server_urls(self, body: Any, base_url: str) -> Any:
        """Return `body` with URLs of the provider's servers replaced by the emulator's."""
        local = {server.url: base_url for server in self._contract.servers.values()}
        return replace_url_prefixes(body, {**local, PLACEHOLDER_URL.rstrip("/"): base_url})

    def build_documented_response(self, request: ParsedRequest, *, filters_lists: bool = True) -> EmulatedResponse:
        """Return the documented success response of an operation for which the emulator stores nothing.

        If the request names an id, the response is the example for that id. If a parameter of the request has the value
        of a documented example, the response is the example that belongs to it. If `filters_lists` is set, lists are
        filtered by query parameters that are named like a field of the list's items.

        Raises:
            Rejection: no example contains the id in the request, and the operation documents a response for that.
        """
        operation = request.operation
        ids = read_requested_ids(request)
        # Where no error for unknown ids is documented, every id has the documented response.
        rejects_unknown_ids = "404" in operation.responses or has_not_found_example(operation)
        for parameter_name, value in ids.items():
            if rejects_unknown_ids and not is_documented_id(operation, parameter_name, value):
                raise Rejection("not-found", parameter_name, f"no example has the {parameter_name} {value!r:.80}")

        response = build_success_response(
            operation, "other", lambda example: [has_object_with_value(example.value, value) for value in ids.values()]
        )
        _select_requested_example(response, request)
        if isinstance(response.body, dict) and ids:
            response.body = fill_body_from_documented_item(operation, response.body, ids)
        if isinstance(response.body, dict) and filters_lists:
            filter_lists_by_query(response.body, request)
        return response

    def build_submit_response(
        self, request: ParsedRequest, job: EmulatedJob, *, balance: float | None
    ) -> EmulatedResponse:
        """Return the response that accepts a job; `balance` is what the account has left, `None` if that is unknown."""
        operation, target = request.operation, job.target
        status = target.job_operation
        assert status is not None
        assert status.job is not None
        locations = status.job.submit_response
        values: dict[Location, Any] = {locations.job_id_location: job.id}
        if locations.state_location is not None:
            values[locations.state_location] = status.job.build_state_value(job.state)

        response = build_success_response(
            operation, "submit", lambda example: self._rank_submit_example(request, target, example, values), values
        )
        response.target, response.job, response.request = target, job, request
        if locations.polling_url_location is not None:
            values[locations.polling_url_location] = self.build_status_url(request, status, job.id)
        answer = target.response
        write_body_values(response, job.response_constants, can_have_value_at)
        if answer.wait_preference is not None:
            self._write_status_values(response, request, status.job, job)
        write_body_values(response, values)
        write_charges_and_balances(response, {answer.charge_location: job.charge, answer.balance_location: balance})
        state = status.job.states.get(job.state)
        if answer.charge_location is None and state is not None and state.terminal_outcome is not None:
            # Nobody asks for the status of a job that is done already, which would have the charge.
            write_charges_and_balances(response, {status.job.charge_location: 0.0 if job.is_refunded else job.charge})
        return response

    def _rank_submit_example(
        self, request: ParsedRequest, target: Target, example: Example, job_values: Mapping[Location, Any]
    ) -> tuple[Any, ...]:
        """Return the sort keys of an example of a submit response.

        They are whether its state is that of the job, and then whether it belongs to a request to the same target.
        """
        # The first value is the id of the job, which no example has.
        states = [
            read_value_at(example.value, location) in (MISSING, value)
            for location, value in list(job_values.items())[1:]
        ]
        return (*states, _belongs_to_request_with_constants(request, example, target.target_spec.request_constants))

    def build_status_response(self, request: ParsedRequest, job: EmulatedJob) -> EmulatedResponse:
        """Return the status response for a job in its current state."""
        spec = request.operation.job
        assert spec is not None

        values = {**self._build_job_values(spec, job), **_build_state_values(spec, job.state)}
        rank_example = functools.partial(self._rank_state_example, spec, job)
        response = build_success_response(request.operation, "status", rank_example, values)
        self._write_status_values(response, request, spec, job)
        return response

    def _write_status_values(
        self, response: EmulatedResponse, request: ParsedRequest, job_spec: JobSpec, job: EmulatedJob
    ) -> None:
        """Write the state of a job, and its audio if the job has succeeded, into a status response."""
        self._write_job_values(response, request, job_spec, job)
        write_body_values(response, {job_spec.state_location: job_spec.build_state_value(job.state)})
        if _has_succeeded(job_spec, job) and job_spec.result_operation_id is None and job_spec.audio is not None:
            url = self.build_audio_url(
                request.incoming_request.base_url, job_spec.audio, job.id, job.synthesis.audio_format
            )
            write_audio_or_url(response, job_spec.audio, job.synthesis.audio_format, url, None)
        if _has_succeeded(job_spec, job):
            write_usage(response, job.target, len(job.synthesis.text))

    def build_cancel_response(self, request: ParsedRequest, job_spec: JobSpec, job: EmulatedJob) -> EmulatedResponse:
        """Return the documented response to a cancellation, with the values of this job.

        Args:
            request: the cancellation request.
            job_spec: the contract's description of the jobs.
            job: the job, which is already canceled unless it had ended before.
        """
        status_media = _find_status_media_type_for_undocumented_state(request.operation, job_spec, job)
        values = {
            **self._build_job_values(job_spec, job),
            **_build_state_values(job_spec, job.state),
            job_spec.submit_response.job_id_location: job.id,
        }
        if status_media is not None:
            rank_example = functools.partial(self._rank_state_example, job_spec, job)
            response = build_success_response(
                request.operation, "other", rank_example, values, example_media_spec=status_media
            )
            self._write_status_values(response, request, job_spec, job)
            return response
        own_media = find_json_media(request.operation.success_response)
        response = build_success_response(
            request.operation,
            "other",
            lambda example: (_shows_job_in_state(example, job_spec, job.state),),
            {place: value for place, value in values.items() if own_media and is_location_documented(own_media, place)},
        )
        self._write_job_values(response, request, job_spec, job)
        write_body_values(
            response,
            {
                job_spec.state_location: job_spec.build_state_value(job.state),
                job_spec.submit_response.job_id_location: job.id,
            },
            can_have_value_at,
        )
        names = [parameter.name for parameter in request.operation.parameters if parameter.message_part == "path"]
        write_body_values(
            response, {Location("body", pointer_tokens=(name,)): job.id for name in names}, can_have_value_at
        )
        return response

    def _write_job_values(
        self, response: EmulatedResponse, request: ParsedRequest, job_spec: JobSpec, job: EmulatedJob
    ) -> None:
        """Write the known values of a job into the body at all locations that are documented for them."""
        response.target, response.job, response.request = job.target, job, request
        shown = self._find_example_job_ids(job.target, job_spec, response)
        if response.is_body_text_or_json:
            response.body = _replace_example_job_ids(response.body, shown, job.id)
        write_body_values(response, job.response_constants, can_have_value_at)
        write_body_values(response, self._build_job_values(job_spec, job), can_have_value_at)
        write_job_times(response, job_spec, job)
        write_charges_and_balances(response, {job_spec.charge_location: 0.0 if job.is_refunded else job.charge})
        self._write_job_urls(response, request, job_spec, job)
        state = job_spec.states.get(job.state)
        if state is not None and state.terminal_outcome == "failure" and job_spec.failure_reason_location is not None:
            # Few documents have an example of a failure, and a body that was built from the schema has no reason.
            reason = read_value_at(response.body, job_spec.failure_reason_location)
            if reason in (MISSING, None, "") and can_have_value_at(
                response.documented_media_type, response.body, job_spec.failure_reason_location
            ):
                write_body_values(response, {job_spec.failure_reason_location: "the request could not be processed"})

    def _write_job_urls(
        self, response: EmulatedResponse, request: ParsedRequest, job_spec: JobSpec, job: EmulatedJob
    ) -> None:
        """Replace placeholder URLs, which occur in bodies for states without an example, by URLs of the emulator."""
        made_up = (PLACEHOLDER_URL, "")  # what a body that is built from its schema has, with a `format` or without
        status = job.target.job_operation
        poll, audio = job_spec.submit_response.polling_url_location, job_spec.audio
        if poll is not None and status is not None and read_value_at(response.body, poll) in made_up:
            write_body_values(response, {poll: self.build_status_url(request, status, job.id)})
        if (
            audio is not None
            and audio.delivery_method == "url"
            and read_value_at(response.body, audio.location) == PLACEHOLDER_URL
        ):
            url = self.build_audio_url(request.incoming_request.base_url, audio, job.id, job.synthesis.audio_format)
            write_body_values(response, {audio.location: url})

    def _find_example_job_ids(self, target: Target, job_spec: JobSpec, response: EmulatedResponse) -> set[str]:
        """Return the job ids in documented examples, to be replaced by the job's id wherever they occur."""
        found = [
            read_value_at(response.body, location)
            for location in (job_spec.job_id_location, job_spec.submit_response.job_id_location)
        ]
        found += (
            read_value_at(example.value, job_spec.submit_response.job_id_location)
            for documented in target.operation.responses.values()
            for media_spec in documented.media_types.values()
            for example in media_spec.examples
        )
        return {shown for shown in found if isinstance(shown, str) and shown}

    def _build_job_values(self, job_spec: JobSpec, job: EmulatedJob) -> dict[Location, Any]:
        model = job.target.target_spec.response_model_name
        pairs = ((job_spec.job_id_location, job.id), (job_spec.model_name_location, model))
        return {place: value for place, value in pairs if place is not None and place.is_in_body and value is not None}

    def _rank_state_example(self, job_spec: JobSpec, job: EmulatedJob, example: Example) -> tuple[Any, ...] | None:
        if not _shows_job_in_state(example, job_spec, job.state):
            return None
        model = (
            job_spec.model_name_location is not None
            and read_value_at(example.value, job_spec.model_name_location) == job.target.target_spec.response_model_name
        )
        # Ids of different kinds of jobs begin differently: the example whose id has most in common with this one fits.
        shown = read_value_at(example.value, job_spec.job_id_location)
        pairs = zip(shown, job.id, strict=False) if isinstance(shown, str) else ()
        return (model, len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))))

    def build_result_response(self, request: ParsedRequest, job: EmulatedJob, audio_bytes: bytes) -> EmulatedResponse:
        """Return the response of the operation that returns the result of a job, with `audio_bytes` or their URL."""
        status = job.target.job_operation
        assert status is not None
        assert status.job is not None
        location = status.job.speech_audio
        url = self.build_audio_url(request.incoming_request.base_url, location, job.id, job.synthesis.audio_format)
        response = build_success_response(request.operation, "result")
        if response.is_body_text_or_json:
            self._write_job_values(response, request, status.job, job)
        # Here as well, because `_write_job_values` is left out for a body that is the audio itself.
        response.target, response.job, response.request = job.target, job, request
        write_audio_or_url(response, location, job.synthesis.audio_format, url, audio_bytes)
        write_usage(response, job.target, len(job.synthesis.text))
        return response

    def build_speech_response(
        self,
        request: ParsedRequest,
        target: Target,
        synthesis: SynthesisRequest,
        audio_bytes: bytes,
        audio_url: str,
        *,
        charge: float | None,
        balance: float | None,
    ) -> EmulatedResponse:
        """Return the response of an operation that delivers speech without a job.

        Args:
            request: the request.
            target: the target that was requested.
            synthesis: what was spoken.
            audio_bytes: the encoded audio.
            audio_url: the URL of the audio, for a contract that delivers audio by URL.
            charge: the amount charged; `None` if the request has no price.
            balance: what is left of the balance of the account; `None` if it has none.
        """
        answer = target.response
        assert answer.audio is not None
        response = build_success_response(request.operation, "speech")
        response.target, response.request, response.stream_spec = target, request, target.stream
        write_audio_or_url(response, answer.audio, synthesis.audio_format, audio_url, audio_bytes)
        write_charges_and_balances(response, {answer.charge_location: charge, answer.balance_location: balance})
        write_usage(response, target, len(synthesis.text))
        return response

    def build_audio_input_response(
        self,
        request: ParsedRequest,
        target: AudioInputTarget,
        values_by_location: Mapping[Location, Any],
        generated_audio: GeneratedAudio | None,
        audio_url: str,
        charge: float | None,
    ) -> EmulatedResponse:
        """Return the response to uploaded audio.

        Args:
            request: the request that uploaded the audio.
            target: the target that processed the audio.
            values_by_location: the values of the response, each under its location.
            generated_audio: the audio of the response; `None` if it has no audio.
            audio_url: the URL of `generated_audio`, for responses that link to it.
            charge: the amount charged; `None` if the request has no price.
        """
        constants = target.target_spec.request_constants
        response = build_success_response(
            request.operation,
            "audio-input",
            lambda example: (_belongs_to_request_with_constants(request, example, constants),),
        )
        response.request, response.stream_spec = request, target.stream
        transcription = target.transcription.response if target.transcription is not None else None
        if transcription is not None and not transcription.text_location.pointer_tokens:
            write_text_body(response, str(values_by_location[transcription.text_location]), transcription.media_type)
        write_body_values(response, _complete_segments(response, transcription, values_by_location))
        audio = target.conversion.response.audio if target.conversion else None
        if audio is not None and generated_audio is not None:
            write_audio_or_url(response, audio, generated_audio.audio_format, audio_url, generated_audio.audio_bytes)
        write_charges_and_balances(response, {target.audio_input.response.charge_location: charge})
        return response

    def convert_to_download_response(self, response: EmulatedResponse, request: ParsedRequest) -> None:
        """Turn `response`, which carries audio, into the documented response of a download operation."""
        assert response.audio_format is not None
        response.operation, response.request = request.operation, request
        response.response_spec = request.operation.success_response
        set_audio_media_type(response, response.audio_format)
        if response.response_spec.status.isdecimal():
            response.status = int(response.response_spec.status)

    def build_status_url(self, request: ParsedRequest, status_operation: Operation, job_id: str) -> str:
        """Return the URL of `status_operation` for the job `job_id`, at the address that `request` was sent to."""
        path = status_operation.path
        query: dict[str, str] = {}
        for parameter in status_operation.parameters:
            if parameter.message_part == "path":
                value = request.path_parameters.get(parameter.name, job_id)
                path = path.replace(f"{{{parameter.name}}}", parameter.encode_segments(str(value)))
            elif parameter.message_part == "query" and parameter.is_required and not query:
                query[parameter.name] = job_id
        return request.incoming_request.base_url + path + (f"?{urlencode(query)}" if query else "")

    def build_audio_url(self, base_url: str, response_audio: ResponseAudio, media_id: str, format_name: str) -> str:
        """Return the URL of audio: that of the documented download operation, else that of a route of the emulator."""
        ending = FILE_EXTENSION_BY_FORMAT.get(format_name, format_name)
        if response_audio.download_operation_id is None:
            root = base_url.removesuffix(f"/{self._contract.id}")
            return f"{root}{CONTROL_PREFIX}/media/{self._contract.id}/{quote_url(media_id, safe='')}.{ending}"
        download = self._contract.find_operation(response_audio.download_operation_id)
        # The first parameter takes the id of the audio; a further one is the name of a file, which may be any.
        names, path = [one.name for one in download.parameters if one.message_part == "path"], download.path
        for name, value in zip(names, itertools.chain([media_id], itertools.repeat(f"output.{ending}")), strict=False):
            path = path.replace(f"{{{name}}}", quote_url(value, safe=""))
        return base_url + path


def _select_requested_example(response: EmulatedResponse, request: ParsedRequest) -> None:
    """Replace the body by the example that answers the parameters of a request (`x-request`), if there is one."""
    names: set[str] = set()
    for parameter in request.operation.parameters:
        if not parameter.examples or parameter.message_part == "cookie":
            continue
        location = Location(parameter.message_part, name=parameter.name)
        value = read_value_or_default(request, location)
        names.update(name for name, shown in parameter.examples.items() if shown == value)
    for media_spec in response.response_spec.media_types.values() if response.response_spec is not None else ():
        for example in media_spec.examples:
            if example.request_example_name in names:
                response.body, response.media_type = copy.deepcopy(example.value), media_spec.name
                response.documented_media_type = media_spec
                return


def _find_status_media_type_for_undocumented_state(
    operation: Operation, job_spec: JobSpec, job: EmulatedJob
) -> MediaType | None:
    """Return the status operation's media type if `operation` has no example of a job in the state of `job`.

    A cancellation is usually documented with one example, which shows a canceled job. The response for a job that ended
    before the cancellation has other fields, which only the examples of the status operation show.

    Returns:
        The JSON media type of the status operation; `None` if an example of `operation` shows the state of `job`, or if
        the two operations have different schemas.
    """
    status_operation = job.target.job_operation
    media_spec = find_json_media(operation.success_response)
    if status_operation is None or media_spec is None or "schema" not in media_spec.part_data:
        return None
    status_media = find_json_media(status_operation.success_response)
    if status_media is None or status_media.part_data.get("schema") != media_spec.part_data["schema"]:
        return None
    has_example = any(_shows_job_in_state(example, job_spec, job.state) for example in media_spec.examples)
    return None if has_example else status_media


def _belongs_to_request_with_constants(
    request: ParsedRequest, example: Example, constants: Mapping[Location, Any]
) -> bool:
    """Whether an example of a response belongs to a documented request that has the constants of a target."""
    documented = request.documented_media_type.examples if request.documented_media_type is not None else ()
    example_request = next((e.value for e in documented if e.name == example.request_example_name), None)
    return example_request is not None and all(
        read_value_at(example_request, location) == value
        for location, value in constants.items()
        if location.is_in_body
    )


def _complete_segments(
    response: EmulatedResponse, transcription: TranscriptionResponse | None, values: Mapping[Location, Any]
) -> dict[Location, Any]:
    """Return `values` with segments that also have the other fields of the first segment of the documented example.

    `transcription` describes the response; `None` returns `values` as they are.
    """
    location = transcription.segments_location if transcription is not None else None
    example = read_value_at(response.body, location)
    if (
        transcription is None
        or location is None
        or not isinstance(example, list)
        or not example
        or not isinstance(example[0], dict)
    ):
        return dict(values)
    segments = [{**example[0], **segment} for segment in values[location]]
    speaker_field = transcription.segment_field_names.speaker_field or ""
    schemas = iterate_body_schemas(response.documented_media_type, (*location.pointer_tokens, "0", speaker_field))
    has_speaker_numbers = any(schema.get("type") == "integer" for schema in schemas)
    for index, segment in enumerate(segments):
        if isinstance(segment.get("id"), int):
            segment["id"] = index
        if has_speaker_numbers and speaker_field in segment:
            segment[speaker_field] = 0  # instead of a label
    return {**values, location: segments}


def _shows_job_in_state(example: Example, job_spec: JobSpec, state_name: str) -> bool:
    """Whether a documented example of a response states `state_name` as the state of its job."""
    return bool(job_spec.read_state(functools.partial(read_value_at, example.value)) == state_name)


def _build_state_values(job_spec: JobSpec, state_name: str) -> dict[Location, Any]:
    """Return the values, by location, that a response built from its schema has in a job state."""
    state = job_spec.states.get(state_name)
    values: dict[Location, Any] = {job_spec.state_location: job_spec.build_state_value(state_name)}
    if state is not None and state.identifying_location is not None:
        values[state.identifying_location] = {}
    return values


def _has_succeeded(job_spec: JobSpec, job: EmulatedJob) -> bool:
    state = job_spec.states.get(job.state)
    return state is not None and state.terminal_outcome == "success"


def _replace_example_job_ids(value: Any, example_ids: Iterable[str], job_id: str) -> Any:
    """Return `value` with `example_ids` replaced by `job_id`, also within longer texts such as URLs."""
    if isinstance(value, dict):
        return {key: _replace_example_job_ids(item, example_ids, job_id) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_example_job_ids(item, example_ids, job_id) for item in value]
    if isinstance(value, str):
        for shown in example_ids:
            if value == shown:
                return job_id
            if len(shown) >= _MIN_EMBEDDED_ID_LENGTH:
                # Not within a longer id of which it is the beginning or the end.
                value = re.sub(rf"(?<![\w-]){re.escape(shown)}(?![\w-])", lambda _: job_id, value)
    return value
