"""Checks what the audio inputs, jobs, resources, streams and webhooks of a contract require of the rest of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from voicegauge.contract._speech_consistency import (
    check_list_location,
    check_locations,
    check_operation_id,
    check_request_location,
    check_request_patterns,
    check_response_audio,
    check_response_location,
    list_location_fields,
)
from voicegauge.contract.contract import AudioInputSpec, AudioInputTarget
from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.jobs import (
    BatchSpec,
    CallbackBodyLocations,
    ChatSpec,
    EventSpec,
    JobSpec,
    JobState,
    PaginationSpec,
    ResourceDeletion,
    ResourceListing,
    ResourceSpec,
    ResourceTransition,
    ResourceUse,
    StreamSpec,
    WebhookSpec,
)
from voicegauge.contract.extension.provider import WebhookSignature
from voicegauge.contract.extension.speech import ConversionSpec, TranscriptionSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import allows_location
from voicegauge.formats.located_yaml import Document, escape_pointer_token
from voicegauge.formats.locations import EventLocation, Location

# Checks `x-transcription` and `x-conversion`.


def check_audio_input(operation: Operation, audio_input_spec: AudioInputSpec) -> None:
    """Check the fields, targets and response of an operation that audio is sent to.

    Raises:
        ContractError: a location is not documented, or no location is given for the audio.
    """
    key = "x-transcription" if isinstance(audio_input_spec, TranscriptionSpec) else "x-conversion"
    pointer, document = f"{operation.pointer}/{key}", operation.contract.document
    if "x-transcription" in operation.part_data and "x-conversion" in operation.part_data:
        raise document.build_error(pointer, "an operation has either x-transcription or x-conversion")
    if "audio" not in audio_input_spec.request_fields:
        raise document.build_error(f"{pointer}/request_fields", f"{key}.request_fields must have a location for audio")
    for field, mapping in audio_input_spec.request_fields.items():
        check_request_location(operation, f"{pointer}/request_fields/{field}", mapping.location)
    for name, target in audio_input_spec.targets.items():
        for location in target.request_constants:
            constants_pointer = f"{pointer}/targets/{escape_pointer_token(name)}/request_constants"
            check_request_location(operation, f"{constants_pointer}/{escape_pointer_token(str(location))}", location)
    for audio_input_target in operation.audio_input_targets:
        check_request_patterns(audio_input_target)
        _check_response_of_target(audio_input_target)
    check_locations(operation, f"{pointer}/response", audio_input_spec.response)
    if isinstance(audio_input_spec, ConversionSpec):
        _check_conversion(operation, f"{pointer}/response", audio_input_spec)


def _check_response_of_target(audio_input_target: AudioInputTarget) -> None:
    """Check the `response` that a transcription target has in place of that of its operation.

    Raises:
        ContractError: the operation is not a transcription, or a location is not documented.
    """
    response, pointer = audio_input_target.target_spec.response, f"{audio_input_target.pointer}/response"
    if response is None:
        return
    if audio_input_target.transcription is None:
        raise audio_input_target.contract.document.build_error(pointer, "only a target of x-transcription has it")
    check_locations(audio_input_target.operation, pointer, response)


def _check_conversion(operation: Operation, pointer: str, conversion_spec: ConversionSpec) -> None:
    response = conversion_spec.response
    if response.stems is not None:
        check_locations(operation, f"{pointer}/stems", response.stems)
        check_operation_id(
            operation.contract, f"{pointer}/stems/download_operation_id", response.stems.download_operation_id
        )
    if response.audio is not None:
        check_response_audio(operation, f"{pointer}/audio", response.audio)
    if conversion_spec.formats and "format" not in conversion_spec.request_fields:
        raise operation.contract.document.build_error(
            pointer, "x-conversion.formats needs a location for format in x-conversion.request_fields"
        )


# Checks `x-resource`, `x-batch` and `x-chat`.


def check_resource(operation: Operation, resource_spec: ResourceSpec) -> None:
    """Check the `x-resource` of the operation that creates the resource.

    Raises:
        ContractError: `resource_spec` names an operation, location or state that is not documented.
    """
    contract, pointer = operation.contract, f"{operation.pointer}/x-resource"
    check_locations(operation, pointer, resource_spec)
    if (resource_spec.state_location is None) != (not resource_spec.states):
        raise contract.document.build_error(pointer, "x-resource needs both state_location and states, or neither")
    others: dict[str, ResourceListing | ResourceDeletion | ResourceTransition | None] = {
        "listing": resource_spec.listing,
        "deletion": resource_spec.deletion,
        **{f"transitions/{index}": one for index, one in enumerate(resource_spec.transitions)},
    }
    for key, one in others.items():
        if one is not None:
            check_operation_id(operation.contract, f"{pointer}/{key}/operation_id", one.operation_id)
            check_locations(contract.find_operation(one.operation_id), f"{pointer}/{key}", one)
        if isinstance(one, ResourceTransition):
            _check_resource_state(operation, f"{pointer}/{key}/resulting_state", one.resulting_state, resource_spec)
    for index, use in enumerate(resource_spec.uses):
        _check_resource_use(operation, f"{pointer}/uses/{index}", use, resource_spec)


def check_pagination(operation: Operation, pagination_spec: PaginationSpec) -> None:
    """Check the `x-pagination` of an operation.

    Raises:
        ContractError: a location is not documented, or the kind of the cursor lacks what it needs.
    """
    pointer = f"{operation.pointer}/x-pagination"
    check_locations(operation, pointer, pagination_spec)
    if pagination_spec.cursor_kind == "item-id" and pagination_spec.item_id_field is None:
        raise operation.contract.document.build_error(pointer, "cursor_kind item-id needs item_id_field")
    # Of a token, one location without the other cannot be followed; with neither, the response only says whether more
    # pages exist.
    if pagination_spec.cursor_kind == "token" and (
        (pagination_spec.cursor_location is None) != (pagination_spec.next_cursor_location is None)
    ):
        raise operation.contract.document.build_error(
            pointer, "a token needs both cursor_location and next_cursor_location"
        )


def _check_resource_use(
    operation: Operation, pointer: str, resource_use: ResourceUse, resource_spec: ResourceSpec
) -> None:
    contract = operation.contract
    check_operation_id(operation.contract, f"{pointer}/operation_id", resource_use.operation_id)
    check_locations(contract.find_operation(resource_use.operation_id), pointer, resource_use)
    for state in resource_use.allowed_states:
        _check_resource_state(operation, f"{pointer}/allowed_states", state, resource_spec)
    if resource_use.server_name is not None and resource_use.server_name not in contract.servers:
        known = ", ".join(contract.servers)
        raise contract.document.build_error(
            f"{pointer}/server_name", f"{resource_use.server_name!r} is not a server of this document: {known}"
        )


def _check_resource_state(operation: Operation, pointer: str, state: str, resource_spec: ResourceSpec) -> None:
    if state not in resource_spec.states:
        known = ", ".join(resource_spec.states) or "none"
        raise operation.contract.document.build_error(pointer, f"{state!r} is not among x-resource.states: {known}")


def check_batch(operation: Operation, batch_spec: BatchSpec) -> None:
    """Check the `x-batch` of an operation.

    Raises:
        ContractError: a location is not inside an item of the batch, or a single item would not start a job.
    """
    contract, pointer = operation.contract, f"{operation.pointer}/x-batch"
    job = operation.speech.response.status_operation_id if operation.speech else None
    if operation.speech is None or job is None:
        raise contract.document.build_error(
            pointer, "x-batch needs an x-speech whose response is a job on the same operation"
        )
    check_request_location(operation, f"{pointer}/requests_location", batch_spec.requests_location)
    # `x-speech.request_fields` of a batch has the locations in its first item.
    first_item = (*batch_spec.requests_location.pointer_tokens, "0")
    locations = [mapping.location for mapping in operation.speech.request_fields.values()]
    outside = [location for location in locations if location.pointer_tokens[: len(first_item)] != first_item]
    if outside:
        raise contract.document.build_error(
            pointer, f"{str(outside[0])!r} is not inside the first item of {batch_spec.requests_location}"
        )
    check_operation_id(operation.contract, f"{pointer}/item_operation_id", batch_spec.item_operation_id)
    item_operation = contract.find_operation(batch_spec.item_operation_id)
    if item_operation.speech is None or item_operation.speech.response.status_operation_id is None:
        reason = f"{batch_spec.item_operation_id!r} must respond with a job, as each item of the batch becomes one"
        raise contract.document.build_error(f"{pointer}/item_operation_id", reason)
    check_response_location(contract.find_operation(job), f"{pointer}/jobs_location", batch_spec.jobs_location)
    for location in (batch_spec.total_count_location, batch_spec.ended_count_location):
        check_response_location(operation, pointer, location)
        check_response_location(contract.find_operation(job), pointer, location)


def check_chat(operation: Operation, chat_spec: ChatSpec) -> None:
    """Check the `x-chat` of an operation.

    Raises:
        ContractError: `chat_spec` names a location, operation or target that is not documented.
    """
    pointer = f"{operation.pointer}/x-chat"
    check_locations(operation, pointer, chat_spec)
    check_response_location(operation, f"{pointer}/reply_audio/location", chat_spec.reply_audio.location)
    check_operation_id(
        operation.contract, f"{pointer}/reply_audio/download_operation_id", chat_spec.reply_audio.download_operation_id
    )
    if chat_spec.emulated_target_name not in operation.contract.targets:
        reason = f"{chat_spec.emulated_target_name!r} is not a target of this document"
        raise operation.contract.document.build_error(f"{pointer}/emulated_target_name", reason)


# Checks a graph of job states or stream events: every node is reachable, and either has successors or ends.


def check_state_graph(
    document: Document,
    pointer: str,
    nodes: Mapping[str, JobState] | Mapping[str, EventSpec],
    *,
    node_noun: str,
    start_nodes: Sequence[str],
    needs_end: bool = True,
) -> None:
    """Check that every node is reachable and has either successors or an outcome, and that some node ends in success.

    Args:
        document: the contract document, for error messages.
        pointer: JSON pointer to the mapping of nodes.
        nodes: the nodes by name.
        node_noun: what a node is, for error messages: "state" or "event".
        start_nodes: the names of the nodes that may come first.
        needs_end: whether some node must end in success.

    Raises:
        ContractError: a node is not reachable, has both successors and an outcome or neither, or no node ends in
            success.
    """
    for name, node in nodes.items():
        for following in node.successor_names:
            if following not in nodes:
                raise document.build_error(
                    f"{pointer}/{escape_pointer_token(name)}/successor_names",
                    f"{following!r} is not among these {node_noun}s",
                )
        if bool(node.successor_names) == bool(node.terminal_outcome):
            reason = f"{node_noun} {name!r} must have either successor_names or terminal_outcome: success | failure"
            raise document.build_error(f"{pointer}/{escape_pointer_token(name)}", reason)
    if needs_end and not any(node.terminal_outcome == "success" for node in nodes.values()):
        raise document.build_error(pointer, f"no {node_noun} ends in success")
    reached = list(start_nodes)
    for name in reached:  # the list grows during the iteration
        reached += [following for following in nodes[name].successor_names if following not in reached]
    for name in nodes:
        if name not in reached:
            raise document.build_error(
                f"{pointer}/{escape_pointer_token(name)}",
                f"{node_noun} {name!r} cannot be reached from {start_nodes[0]!r}",
            )


# Checks `x-job`: locations, states, cancelling, expiry and polling.


def check_job(operation: Operation, job_spec: JobSpec) -> None:
    """Check the `x-job` of a status operation.

    Raises:
        ContractError: a location is not documented, or the states do not fit together.
    """
    document, pointer = operation.contract.document, f"{operation.pointer}/x-job"
    if not job_spec.states:
        raise document.build_error(f"{pointer}/states", "x-job needs at least one state")
    # A job starts in the first state that is listed.
    check_state_graph(
        document, f"{pointer}/states", job_spec.states, node_noun="state", start_nodes=[next(iter(job_spec.states))]
    )
    check_locations(operation, pointer, job_spec)
    for name, state in job_spec.states.items():
        check_locations(operation, f"{pointer}/states/{escape_pointer_token(name)}", state)
    _check_state_flags(operation, job_spec)
    check_operation_id(operation.contract, f"{pointer}/result_operation_id", job_spec.result_operation_id)
    _check_cancelling(operation, job_spec)
    if job_spec.audio is not None:
        # If a second operation fetches the result, the audio is in the responses of that operation.
        fetching = job_spec.result_operation_id or operation.id
        check_response_audio(operation.contract.find_operation(fetching), f"{pointer}/audio", job_spec.audio)
    schedule = job_spec.poll_schedule
    if schedule.min_interval_s > schedule.max_interval_s:
        raise document.build_error(
            f"{pointer}/poll_schedule",
            f"poll_schedule.min_interval_s ({schedule.min_interval_s:g}) is more than "
            f"max_interval_s ({schedule.max_interval_s:g})",
        )


def _check_state_flags(operation: Operation, job_spec: JobSpec) -> None:
    """Check that the flags and the identifying locations of the states tell every state from the others."""
    same_flag: dict[bool | None, list[str]] = {}
    for name, state in job_spec.states.items():
        same_flag.setdefault(state.flag_value, []).append(name)
    pointer = f"{operation.pointer}/x-job/states"
    document = operation.contract.document
    if None in same_flag:
        named = [name for name in same_flag[None] if job_spec.states[name].identifying_location is not None]
        if len(same_flag) > 1 or named:
            name = (named or same_flag[None])[0]
            reason = f"state {name!r} needs flag_value: either all states have a flag_value, or none"
            raise document.build_error(f"{pointer}/{escape_pointer_token(name)}", reason)
        return
    for flag, names in same_flag.items():
        for name in names[:-1]:  # a state without such a location is recognized if the others are not
            if job_spec.states[name].identifying_location is None:
                reason = f"states with flag_value {json.dumps(flag)} need an identifying_location: {', '.join(names)}"
                raise document.build_error(f"{pointer}/{escape_pointer_token(name)}", reason)


def _check_cancelling(operation: Operation, job_spec: JobSpec) -> None:
    if job_spec.cancellation is None:
        return
    pointer = f"{operation.pointer}/x-job/cancellation"
    check_operation_id(operation.contract, f"{pointer}/operation_id", job_spec.cancellation.operation_id)
    state = job_spec.states.get(job_spec.cancellation.resulting_state)
    if state is None or state.terminal_outcome != "failure":
        reason = f"{job_spec.cancellation.resulting_state!r} is not a state of this job that ends in failure"
        raise operation.contract.document.build_error(f"{pointer}/resulting_state", reason)


# Checks `x-stream`: the order of events and the locations in them.


def check_stream(operation: Operation) -> None:
    """Check that an operation has a consistent `x-stream` if it delivers audio as a stream, and none otherwise.

    Raises:
        ContractError: `x-stream` is missing, not expected, or not consistent.
    """
    is_streamed = any(audio.delivery_method == "stream" for audio in operation.response_audio_variants)
    if operation.stream is not None:
        _check_stream_spec(operation, operation.stream, is_streamed=is_streamed)
    elif is_streamed:
        pointer = f"{operation.pointer}/{'x-conversion' if operation.speech is None else 'x-speech'}"
        reason = "audio delivered as stream needs an x-stream on its operation"
        raise operation.contract.document.build_error(pointer, reason)


def _check_stream_spec(operation: Operation, stream_spec: StreamSpec, *, is_streamed: bool) -> None:
    document, pointer = operation.contract.document, f"{operation.pointer}/x-stream"
    if not is_streamed:
        raise document.build_error(
            pointer, "x-stream needs audio delivered as stream in x-speech.response or x-conversion.response"
        )
    media_type = stream_spec.response_media_type
    if not any(
        media_type in response.media_types for status, response in operation.responses.items() if status.startswith("2")
    ):
        raise document.build_error(pointer, f"no 2xx response of {operation.id} is documented as {media_type}")
    _check_event_types(operation, stream_spec, pointer)
    failures = [name for name, event in stream_spec.events.items() if event.terminal_outcome == "failure"]
    # A stream begins with the first event that is listed, or with an event that ends it in failure.
    if not stream_spec.events:
        raise document.build_error(f"{pointer}/events", "x-stream needs at least one event")
    starts = [next(iter(stream_spec.events)), *failures]
    check_state_graph(
        document,
        f"{pointer}/events",
        stream_spec.events,
        node_noun="event",
        start_nodes=starts,
        needs_end=not stream_spec.ends_with_response,
    )
    _check_stream_locations(operation, stream_spec, failures, pointer)


def _check_stream_locations(
    operation: Operation, stream_spec: StreamSpec, failures: Sequence[str], pointer: str
) -> None:
    """Check that the events with audio exist, and the values that events of these and of the failures have."""
    if stream_spec.audio.event_type not in stream_spec.events:
        reason = f"{stream_spec.audio.event_type!r} is not an event of this stream"
        raise operation.contract.document.build_error(f"{pointer}/audio/event_type", reason)
    if stream_spec.event_type_location.is_in_data:
        for name in stream_spec.events:
            _check_event_location(
                operation, stream_spec, name, f"{pointer}/event_type_location", stream_spec.event_type_location
            )
    audio = stream_spec.audio
    for key in ("location", "sequence_number_location", "sample_rate_location"):
        _check_event_location(operation, stream_spec, audio.event_type, f"{pointer}/audio/{key}", getattr(audio, key))
    for index, timestamps in enumerate(audio.timestamps):
        for key in ("texts_location", "starts_location", "ends_location"):
            location, at = getattr(timestamps, key), f"{pointer}/audio/timestamps/{index}/{key}"
            check_list_location(operation, at, location)
            _check_event_location(operation, stream_spec, audio.event_type, at, location)
    for name in failures:
        _check_event_location(
            operation, stream_spec, name, f"{pointer}/failure_reason_location", stream_spec.failure_reason_location
        )


def _check_event_types(operation: Operation, stream_spec: StreamSpec, pointer: str) -> None:
    """Check that the type of every event can be determined, and that a stream has one way to end in success."""
    document = operation.contract.document
    marked = [name for name, event in stream_spec.events.items() if event.identifying_location is not None]
    unmarked = [name for name in stream_spec.events if name not in marked]
    if marked and unmarked:
        reason = f"{unmarked[0]!r} needs identifying_location, because {marked[0]!r} is known by the value that it has"
        raise document.build_error(f"{pointer}/events/{escape_pointer_token(unmarked[0])}", reason)
    is_typed = marked or stream_spec.event_type_location.is_in_data or stream_spec.framing == "sse"
    if not is_typed and len(stream_spec.events) > 1:
        raise document.build_error(
            pointer,
            "lines of JSON have no event field: set event_type_location to a location in data, or identifying_location",
        )
    for name in marked:
        at = f"{pointer}/events/{escape_pointer_token(name)}/identifying_location"
        _check_event_location(operation, stream_spec, name, at, stream_spec.events[name].identifying_location)
    if stream_spec.ends_with_response and any(
        event.terminal_outcome == "success" for event in stream_spec.events.values()
    ):
        raise document.build_error(f"{pointer}/ends_with_response", "an event ends the stream in success already")


def _check_event_location(
    operation: Operation, stream_spec: StreamSpec, event_name: str, pointer: str, location: EventLocation | None
) -> None:
    """Check that the schema of the event's data allows the location. `None` is accepted."""
    if location is None or not location.pointer_tokens:
        return
    schema = stream_spec.events[event_name].data_schema
    if schema is None:
        reason = f"{str(location)!r} leads into the data of {event_name!r}, which has no data_schema"
        raise operation.contract.document.build_error(pointer, reason)
    if not allows_location(operation.schemas, schema, location.pointer_tokens):
        reason = f"{str(location)!r} is not in the schema of the event {event_name!r}"
        raise operation.contract.document.build_error(pointer, reason)


# Checks `x-webhook`: the locations of the URL and of the values in a callback.


def check_webhook(operation: Operation, webhook_spec: WebhookSpec) -> None:
    """Check the `x-webhook` of an operation.

    Raises:
        ContractError: a location is not documented, or callbacks cannot be matched to their request.
    """
    document, pointer = operation.contract.document, f"{operation.pointer}/x-webhook"
    if not webhook_spec.url_fields:
        raise document.build_error(pointer, "x-webhook.url_fields must have at least one location in the request")
    for index, url in enumerate(webhook_spec.url_fields):
        field_pointer = f"{pointer}/url_fields/{index}"
        check_locations(operation, field_pointer, url)
        if url.mode_field is not None:
            check_locations(operation, f"{field_pointer}/mode_field", url.mode_field)
            if url.mode_field.default_value not in url.mode_field.timing_by_value:
                known = ", ".join(url.mode_field.timing_by_value)
                raise document.build_error(
                    f"{field_pointer}/mode_field/default_value",
                    f"{url.mode_field.default_value!r} is not among timing_by_value: {known}",
                )
    if webhook_spec.signature is not None:
        _check_signature(operation, webhook_spec.signature)
    media = operation.callback_body
    status = operation.started_job_operation
    if webhook_spec.body_locations is not None:
        _check_callback_body(operation, media, webhook_spec.body_locations, webhook_spec.callback_operation_id)
    elif status is None or status.job is None or status.job.job_id_location is None:
        raise document.build_error(pointer, "x-webhook needs body_locations: no status response has an id")
    # Without a job, no `x-job` says which value of the response to the submit callbacks repeat.
    if status is None and (
        webhook_spec.body_locations is None or webhook_spec.body_locations.submit_id_location is None
    ):
        raise document.build_error(
            f"{pointer}/body_locations",
            "x-webhook.body_locations needs submit_id_location: the location of the id in the response",
        )


def _check_signature(operation: Operation, signature: WebhookSignature) -> None:
    header, signed = signature.signature_header_template, signature.signed_text_template
    has_timestamp = signature.timestamp_header_name is not None or "{timestamp}" in header
    problems = {
        "signature_header_template": "" if "{signature}" in header else "has no {signature}",
        # The body is signed as bytes, between the texts before and after the placeholder: `compute_signature` splits
        # there.
        "signed_text_template": "" if signed.count("{body}") == 1 else "must have {body} once",
    }
    for part, is_sent in {"{id}": signature.id_header_name is not None, "{timestamp}": has_timestamp}.items():
        if part in signed and not is_sent:
            problems["signed_text_template"] = f"has {part}, but no header of the callback has it"
    for key, problem in problems.items():
        if problem:
            pointer = f"{operation.pointer}/x-webhook/signature/{key}"
            raise operation.contract.document.build_error(pointer, f"x-webhook.signature.{key} {problem}")


def _check_callback_body(
    operation: Operation, documented_body: MediaType, body_locations: CallbackBodyLocations, callback_name: str
) -> None:
    document, pointer = operation.contract.document, f"{operation.pointer}/x-webhook/body_locations"
    for name, _ in list_location_fields(CallbackBodyLocations):
        location: Location | None = getattr(body_locations, name)
        if location is None or name == "submit_id_location":  # which is in the response to the submit
            continue
        if not location.pointer_tokens or not allows_location(
            documented_body.schemas, documented_body.schema, location.pointer_tokens
        ):
            reason = f"{str(location)!r} is not in the documented body of {callback_name}"
            raise document.build_error(f"{pointer}/{name}", reason)
    check_response_location(operation, f"{pointer}/submit_id_location", body_locations.submit_id_location)
    if "success" not in body_locations.outcome_by_state.values():
        raise document.build_error(f"{pointer}/outcome_by_state", "no state means success")
