"""Checks the locations that a contract names, and what its speech operations and targets require of the rest of it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

from voicegauge.contract.contract import BaseSocketTarget, BaseTarget, Contract, Target
from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.extension.speech import (
    RAW_SAMPLE_CODECS,
    FieldMapping,
    ResponseAudio,
    SpeechField,
    SpeechResponse,
    SpeechSpec,
)
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import SchemaViolation, allows_location, list_allowed_values
from voicegauge.contract.socket_messages import MessageSchema, build_message_from_template, iterate_leaves
from voicegauge.formats.bodies import is_form, is_json, is_text, quote_json
from voicegauge.formats.located_yaml import Document, escape_pointer_token, split_json_pointer
from voicegauge.formats.locations import (
    EVERY_ITEM,
    MISSING,
    EventLocation,
    Location,
    MessagePart,
    is_request_location,
    read_pointer,
)
from voicegauge.model.base import Record

# Checks that the locations which a contract names exist in its requests and responses.


_RAW_SAMPLE_FORMAT_PREFIXES = ("pcm", "mulaw", "alaw", "ulaw")
"""Beginnings of the names of formats of raw samples, which have no header: only the contract can state their rate."""


def check_operation_id(contract: Contract, pointer: str, operation_id: str | None) -> None:
    """Check that `operation_id` is the id of an operation of the contract; `None` is accepted.

    Raises:
        ContractError: no operation has that id.
    """
    if operation_id is not None and operation_id not in contract.operations:
        raise contract.document.build_error(pointer, f"{operation_id!r} is not an operation of this document")


def check_request_location(operation: Operation, pointer: str, location: Location) -> None:
    """Check that the document describes a value at `location` of requests to `operation`.

    Raises:
        ContractError: the location is not documented, or is in a part of the message that is not allowed.
    """
    if location.message_part == "path" and f"{{{location.name}}}" not in operation.path:
        reason = f"{str(location)!r}: the path {operation.path} has no {{{location.name}}}"
        raise operation.contract.document.build_error(pointer, reason)
    if location.is_in_body:
        _check_location_is_documented(operation, pointer, location, list(operation.request_media.values()), "request")


def check_response_location(operation: Operation, pointer: str, location: Location | None) -> None:
    """Check that the document describes a value at `location` of successful responses of `operation`.

    Headers need not be documented. `None` is accepted.

    Raises:
        ContractError: the location is not documented, or is in a part of the message that is not allowed.
    """
    if location is None:
        return
    check_message_part_of_location(operation, pointer, location, ("body", "header"))
    if location.is_in_body and location.pointer_tokens:
        successes = [r for status, r in operation.responses.items() if status.startswith("2")]
        media = [media for response in successes for media in response.media_types.values()]
        _check_location_is_documented(operation, pointer, location, media, "response")


def check_locations(operation: Operation, pointer: str, record: Record) -> None:
    """Check every location in the fields of a record, in requests to `operation` or in its successful responses.

    Args:
        operation: the operation whose messages have the values.
        pointer: JSON pointer to the record.
        record: a record of the grammar. Of type `RequestLocation` are its locations in requests.

    Raises:
        ContractError: a location is not documented, or is in a part of the message that is not allowed.
    """
    for name, is_in_request in list_location_fields(type(record)):
        value, at = getattr(record, name), f"{pointer}/{name}"
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
        for where, location in [(f"{at}/{key}", item) for key, item in items] or [(at, value)]:
            if not isinstance(location, Location):  # null, or an empty list or mapping
                continue
            if is_in_request:
                check_request_location(operation, where, location)
            else:
                check_response_location(operation, where, location)


@functools.cache
def list_location_fields(record_type: type[Record]) -> tuple[tuple[str, bool], ...]:
    """Return the fields of a record that have locations, one or several, each with whether they are in a request."""
    hints = get_type_hints(record_type, include_extras=True)
    types_by_field = {name: {hints[name], *get_args(hints[name])} for name in record_type.__struct_fields__}
    return tuple(
        (name, any(map(is_request_location, types)))
        for name, types in types_by_field.items()
        if Location in types or any(map(is_request_location, types))
    )


def check_list_location(operation: Operation, pointer: str, location: Location | EventLocation | None) -> None:
    """Check that the location has one `*`, which stands for every item of a list. `None` is accepted.

    Raises:
        ContractError: the location has no `*`, or several.
    """
    if location is not None and location.pointer_tokens.count(EVERY_ITEM) != 1:
        raise operation.contract.document.build_error(
            pointer, f"{str(location)!r} must have one /*, for the items of a list"
        )


def check_message_part_of_location(
    operation: Operation, pointer: str, location: Location, allowed_parts: tuple[MessagePart, ...]
) -> None:
    """Check that the location is in one of the parts `allowed_parts` of a message.

    Raises:
        ContractError: the location is in another part.
    """
    if location.message_part not in allowed_parts:
        reason = f"{str(location)!r} must be in the {' or the '.join(allowed_parts)}"
        raise operation.contract.document.build_error(pointer, reason)


def _check_location_is_documented(
    operation: Operation, pointer: str, location: Location, media_types: list[MediaType], message_part: str
) -> None:
    # One body with the location is enough, because a request may be sent as JSON or as a form, with different fields.
    structured = [m for m in media_types if is_json(m.name) or is_form(m.name) or m.name == "*/*"]
    if location == Location("body"):
        files = ("audio/", "video/", "application/octet-stream")
        structured += [m for m in media_types if is_text(m.name) or m.name.startswith(files)]
    if not any(allows_location(m.schemas, m.schema, location.pointer_tokens) for m in structured):
        reason = f"{str(location)!r} is not in the documented {message_part} of {operation.id}"
        raise operation.contract.document.build_error(pointer, reason)


def check_response_audio(
    operation: Operation, pointer: str, response_audio: ResponseAudio, *, may_have_timestamps: bool = False
) -> None:
    """Check the location and the format of audio in responses of `operation`.

    Timestamps are only read from responses to speech requests.

    Raises:
        ContractError: a location is not documented, or no sample rate is given for raw audio.
    """
    document = operation.contract.document
    if response_audio.delivery_method in ("bytes", "stream") and response_audio.location != Location("body"):
        raise document.build_error(
            pointer, f"audio delivered as {response_audio.delivery_method} is at body, not at {response_audio.location}"
        )
    check_locations(operation, pointer, response_audio)
    check_operation_id(operation.contract, f"{pointer}/download_operation_id", response_audio.download_operation_id)
    if response_audio.timestamps and not may_have_timestamps:
        raise document.build_error(f"{pointer}/timestamps", "timestamps must be in the response to a speech request")
    if response_audio.timestamps and response_audio.delivery_method == "stream":
        raise document.build_error(f"{pointer}/timestamps", "timestamps of a stream belong into x-stream.audio")
    for index, timestamps in enumerate(response_audio.timestamps):
        check_locations(operation, f"{pointer}/timestamps/{index}", timestamps)
        for name in ("texts_location", "starts_location", "ends_location"):
            check_list_location(operation, f"{pointer}/timestamps/{index}/{name}", getattr(timestamps, name))
    if (
        response_audio.format is not None
        and response_audio.format.startswith(_RAW_SAMPLE_FORMAT_PREFIXES)
        and response_audio.sample_rate_hz is None
    ):
        raise document.build_error(pointer, f"raw audio ({response_audio.format}) needs its sample_rate_hz")


# Checks that the values which a target sends are among those that the document allows.


_MAX_QUOTED_VALUE_CHARACTERS = 200
"""Maximum length of a quoted value, or list of values, in an error message."""


def check_request_value(
    operation: Operation, pointer: str, location: Location, value: Any, media_type: str | None = None
) -> None:
    """Check that `value` is one of the values that the document lists for a location, if it lists any.

    Values listed inside `oneOf` or `anyOf` are ignored.

    Args:
        operation: the operation that the value is sent to.
        pointer: JSON pointer of the value in the document.
        location: where the value is in a request.
        value: the value.
        media_type: the media type of the request if it can have only one; `None` for all that are documented.

    Raises:
        ContractError: the value is not allowed in a request of any media type.
    """
    allowed = list(_iterate_allowed_values(operation, location, media_type))
    # One media type, or one parameter, that allows any value is enough.
    if not allowed or None in allowed:
        return
    # Forms and parameters send texts: 1 is also allowed as "1".
    if any(value in choices or _quote_value(value) in map(_quote_value, choices) for choices in allowed if choices):
        return
    values = quote_json(allowed[0], _MAX_QUOTED_VALUE_CHARACTERS)[1:].removesuffix("]")
    reason = f"{quote_json(value, _MAX_QUOTED_VALUE_CHARACTERS)} is not a documented value of {location}: {values}"
    raise operation.contract.document.build_error(pointer, reason)


def _iterate_allowed_values(
    operation: Operation, location: Location, media_type: str | None
) -> Iterator[list[Any] | None]:
    """Yield the allowed values at `location` of parameters, or of one or all (`None`) media types; `None` if any is."""
    schemas = operation.schemas
    if not location.is_in_body:
        for parameter in operation.parameters:
            if (parameter.message_part, parameter.name) == (location.message_part, location.name):
                yield list_allowed_values(schemas, parameter.schema, ())
        return
    for name, media in operation.request_media.items():
        if name == media_type or (media_type is None and (is_json(name) or is_form(name) or name == "*/*")):
            yield list_allowed_values(schemas, media.schema, location.pointer_tokens)


def _quote_value(value: Any) -> str:
    return value if isinstance(value, str) else quote_json(value, _MAX_QUOTED_VALUE_CHARACTERS)


# Checks what jobs and targets of any kind have in common.


def check_submit(operation: Operation, pointer: str, status_operation_id: str) -> JobSpec:
    """Check the status operation of the started jobs and its `submit_response`, and return its `x-job`.

    Args:
        operation: the operation that starts the jobs.
        pointer: JSON pointer to the id of the status operation.
        status_operation_id: the id of the status operation.

    Raises:
        ContractError: the operation does not exist or has no `x-job`, or a location is not documented.
    """
    status = operation.contract.operations.get(status_operation_id)
    if status is None or status.job is None:
        reason = f"{status_operation_id!r} is not an operation with x-job"
        raise operation.contract.document.build_error(pointer, reason)
    check_locations(operation, f"{status.pointer}/x-job/submit_response", status.job.submit_response)
    return status.job


def check_request_patterns(target: BaseTarget) -> None:
    """Check that the `request_patterns` of a target are regular expressions for locations of its constants.

    Raises:
        ContractError: an expression is not valid, or the target has no constant at its location.
    """
    document, spec = target.contract.document, target.target_spec
    for location, pattern in spec.request_patterns.items():
        pointer = f"{target.pointer}/request_patterns/{escape_pointer_token(str(location))}"
        if location not in spec.request_constants:
            raise document.build_error(pointer, f"request_constants have no value at {location}")
        check_pattern(document, pointer, pattern)


def check_pattern(document: Document, pointer: str, pattern: object) -> None:
    """Check that `pattern`, which is at `pointer` in the document, is a regular expression.

    Raises:
        ContractError: it is not.
    """
    try:
        re.compile(str(pattern))
    except re.error as error:
        raise document.build_error(pointer, f"{pattern!r} is not a valid regular expression: {error}") from error


# Checks `x-speech` and its targets.


_FIELDS_WITH_DEFAULTS: tuple[SpeechField, ...] = (
    "voice",
    "voice_description",
    "voice_sample_url",
    "language",
    "format",
)
"""Fields for which a target may state a default (`default_voice` and so on), which then need a location."""


def check_speech(operation: Operation, speech_spec: SpeechSpec) -> None:
    """Check the fields and the response of `x-speech`.

    Raises:
        ContractError: a location is not documented, or no location is given for the text or the audio.
    """
    contract, pointer = operation.contract, f"{operation.pointer}/x-speech"
    if "text" not in speech_spec.request_fields:
        raise contract.document.build_error(
            f"{pointer}/request_fields", "x-speech.request_fields must have a location for text"
        )
    _check_field_mappings(operation, f"{pointer}/request_fields", speech_spec.request_fields)
    _check_formats(operation, speech_spec, f"{pointer}/formats")
    response = speech_spec.response
    if (response.status_operation_id is None) == (response.audio is None):
        raise contract.document.build_error(
            f"{pointer}/response", "x-speech.response must have either status_operation_id or audio"
        )
    if (
        response.status_operation_id is not None
        and check_submit(operation, f"{pointer}/response/status_operation_id", response.status_operation_id).audio
        is None
    ):
        reason = f"the x-job of {response.status_operation_id} has no audio, so it cannot be the job of x-speech"
        raise contract.document.build_error(f"{pointer}/response/status_operation_id", reason)
    _check_wait_preference(operation, f"{pointer}/response/wait_preference", response)
    if response.audio is not None:
        check_response_audio(operation, f"{pointer}/response/audio", response.audio, may_have_timestamps=True)
    check_locations(operation, f"{pointer}/response", response)


def _check_formats(operation: Operation, speech_spec: SpeechSpec, pointer: str) -> None:
    """Check that the formats have a field, that raw samples have a sample rate, and that only MP3 has a bit rate."""
    document, mapping = operation.contract.document, speech_spec.request_fields.get("format")
    if speech_spec.formats and mapping is None:
        raise document.build_error(pointer, "x-speech.formats needs a location for format in x-speech.request_fields")
    for name, audio_format in speech_spec.formats.items():
        at = f"{pointer}/{escape_pointer_token(name)}"
        if audio_format.codec in RAW_SAMPLE_CODECS and audio_format.sample_rate_hz is None:
            raise document.build_error(at, f"raw audio ({audio_format.codec}) needs its sample_rate_hz")
        if audio_format.bitrate_kbps is not None and audio_format.codec != "mp3":
            raise document.build_error(
                f"{at}/bitrate_kbps", f"a bit rate is only checked of mp3, not of {audio_format.codec}"
            )


def _check_field_mappings(
    operation: Operation, pointer: str, field_mappings: Mapping[SpeechField, FieldMapping | None]
) -> None:
    document = operation.contract.document
    for field, mapping in field_mappings.items():
        if mapping is None:
            continue
        check_request_location(operation, f"{pointer}/{field}", mapping.location)
        if mapping.is_seed_reproducible and field != "seed":
            raise document.build_error(
                f"{pointer}/{field}", f"is_seed_reproducible is a property of seed, not of {field}"
            )
        if mapping.markup_language is not None and field != "text":
            raise document.build_error(f"{pointer}/{field}", f"markup_language is a property of text, not of {field}")
        if "{}" not in mapping.text_template:
            raise document.build_error(f"{pointer}/{field}", f"the text_template of {field} has no {{}} for the value")


def _check_wait_preference(operation: Operation, pointer: str, response: SpeechResponse) -> None:
    """Check the `wait_preference`, if there is one.

    There must be a job to wait for, and the response to a request that waited must be readable as a status response of
    this job.
    """
    wait, document = response.wait_preference, operation.contract.document
    status = operation.contract.operations.get(response.status_operation_id or "")
    if wait is None:
        return
    if status is None or status.job is None:
        raise document.build_error(
            pointer, "wait_preference is for the end of a job: x-speech.response needs status_operation_id"
        )
    check_locations(operation, pointer, wait)
    if (
        status.job.submit_response.state_location != status.job.state_location
        or status.job.result_operation_id is not None
    ):
        reason = (
            "a request that waits gets a status response: x-job.submit_response.state_location must equal "
            "x-job.state_location, without result_operation_id"
        )
        raise document.build_error(pointer, reason)
    check_response_audio(operation, pointer, status.job.speech_audio)


def check_target(target: Target) -> None:
    """Check a speech target.

    Raises:
        ContractError: the target requires, sets or has a default for a field that its operation has no location for,
            sends a value that the document does not allow, or another part of the target is wrong.
    """
    operation, document, spec = target.operation, target.contract.document, target.target_spec
    fields = target.speech.request_fields
    if spec.request_media_type is not None and spec.request_media_type not in operation.request_media:
        known = ", ".join(operation.request_media) or "none"
        reason = f"{spec.request_media_type!r} is not a media type of the request; known: {known}"
        raise document.build_error(f"{target.pointer}/request_media_type", reason)
    _check_field_mappings(operation, f"{target.pointer}/request_fields", spec.request_fields)
    if "text" not in fields:
        raise document.build_error(f"{target.pointer}/request_fields/text", "every target has a location for text")
    for field in spec.required_fields:
        if field not in fields:
            reason = f"requires {field}, but x-speech.request_fields has no location for it"
            raise document.build_error(f"{target.pointer}/required_fields", reason)
    for field in _FIELDS_WITH_DEFAULTS:
        has_default = getattr(spec, f"default_{field}") is not None or (
            field == "voice" and spec.default_voice_by_language
        )
        # Otherwise the default would be left out without a word.
        if has_default and field not in fields:
            reason = f"has a default {field}, but x-speech.request_fields has no location for it"
            raise document.build_error(f"{target.pointer}/default_{field}", reason)
    if spec.response_audio is not None:
        if target.speech.response.audio is None:
            raise document.build_error(
                f"{target.pointer}/response_audio", "the audio of a job is described by x-job.audio"
            )
        check_response_audio(
            operation, f"{target.pointer}/response_audio", spec.response_audio, may_have_timestamps=True
        )
    for location, value in spec.request_constants.items():
        pointer = f"{target.pointer}/request_constants/{escape_pointer_token(str(location))}"
        check_request_location(operation, pointer, location)
        check_request_value(operation, pointer, location, value, spec.request_media_type)
    check_request_patterns(target)
    _check_voices(target)
    _check_fields_fit_into_body(target, [*spec.request_constants, *(mapping.location for mapping in fields.values())])
    _check_emulation(target)


def _check_voices(target: Target) -> None:
    """Check that the document allows the voices of a target as they are sent.

    A voice that `provider_values` or the `text_template` of the field changes before it is sent is not checked.
    """
    spec, mapping = target.target_spec, target.speech.request_fields.get("voice")
    voices = {
        f"default_voice_by_language/{escape_pointer_token(language)}": voice
        for language, voice in spec.default_voice_by_language.items()
    }
    for key, voice in {"default_voice": spec.default_voice, **voices}.items():
        if (
            mapping is not None
            and voice is not None
            and voice not in mapping.provider_values
            and mapping.text_template == "{}"
        ):
            check_request_value(
                target.operation, f"{target.pointer}/{key}", mapping.location, voice, spec.request_media_type
            )


def _check_emulation(target: Target) -> None:
    emulation, pointer = target.target_spec.emulation, f"{target.pointer}/emulation"
    for location in emulation.response_constants:
        check_message_part_of_location(target.operation, f"{pointer}/response_constants", location, ("body", "header"))
    for index, pattern in enumerate(emulation.unspoken_patterns):
        check_pattern(target.contract.document, f"{pointer}/unspoken_patterns/{index}", pattern)


def _check_fields_fit_into_body(target: Target, locations: list[Location]) -> None:
    """Check that all fields of a target fit into one body, so that no field is inside the value of another field."""
    body: Any = None
    for location in locations:
        if location.is_in_body:
            try:
                body = location.write_body(body, "text")
            except ValueError as error:
                reason = f"{location} does not fit into one body with the other locations: {error}"
                raise target.contract.document.build_error(target.pointer, reason) from error


# Checks that messages of WebSockets fit their own schemas.


_EXAMPLE_VALUE_BY_PLACEHOLDER: Mapping[str, Any] = {
    **dict.fromkeys(("context", "key", "id", "reason"), "a name"),
    **dict.fromkeys(("text", "transcript", "word"), "Hello."),
    **dict.fromkeys(("flush", "nonce", "characters", "turn", "sequence", "duration_ms"), 1),
    **dict.fromkeys(("start_s", "end_s", "duration_s"), 0.5),
    **{name: [0.5] for name in ("starts", "ends", "durations")},
    "words": ["Hello."],
    "word_items": [{"word": "Hello.", "start_s": 0.5, "end_s": 0.5}],
    "audio": b"\0\0",
}
"""For each placeholder of a message, a value of the type that it stands for."""
_CLIENT_MESSAGE_PLACEHOLDERS = ("text", "context", "key", "nonce", "audio")
"""The placeholders in the messages of a client."""
_KEYWORDS_ABOUT_MEMBERS = frozenset(("required", "additionalProperties", "type"))
"""Keywords that say something about an object whatever the values of its members are."""
_CONDITIONAL_KEYWORDS = frozenset(("then", "else", "dependentSchemas"))
"""Keywords whose schemas apply to a value only if the value fulfils a condition."""


def check_message_templates(target: BaseSocketTarget) -> None:
    """Check that the messages written from templates fit the schemas of the messages that they are meant to be.

    Of the value of a placeholder, a voice or a language, only the type is known. What depends on more than that, such
    as a pattern or an alternative (`anyOf`), is not judged.

    Raises:
        ContractError: a message can never fit, because of what is fixed in its template or in the target.
    """
    channel, spec = target.socket, target.spec
    samples = {name: _EXAMPLE_VALUE_BY_PLACEHOLDER[name] for name in _CLIENT_MESSAGE_PLACEHOLDERS}
    named = {one: "name" for one in (spec.voice_location, spec.language_location) if one is not None and one.is_in_body}
    for action, one in spec.client_messages.items():
        paths_to_unknown_values = _find_paths_to_placeholders(one.value) | {
            location.pointer_tokens for location in named
        }
        for audio_format in target.target_spec.formats.values():
            settings = named | target.collect_constants(audio_format)
            message = channel.build_client_message(action, settings=settings, **samples)
            if isinstance(message, str):
                message_path = f"client_messages/{action}"
                _check_message_from_template(
                    target,
                    message_path,
                    one.value,
                    channel.client_schemas[one.message],
                    message,
                    paths_to_unknown_values,
                )
    for index, event in enumerate(spec.server_messages):
        if event.value is not None:
            message, schema = (
                build_message_from_template(event, _EXAMPLE_VALUE_BY_PLACEHOLDER),
                channel.server_schemas[event.message],
            )
            message_path = f"server_messages/{index}"
            _check_message_from_template(
                target, message_path, event.value, schema, message, _find_paths_to_placeholders(event.value)
            )


def _find_paths_to_placeholders(template: Any) -> set[tuple[str, ...]]:
    """Return, for each value of a template with a placeholder, the keys that lead to it."""
    return {tokens for tokens, leaf in iterate_leaves(template) if isinstance(leaf, str) and "{" in leaf}


def _check_message_from_template(
    target: BaseSocketTarget,
    message_path: str,
    template: Any,
    schema: MessageSchema,
    message: str,
    paths_to_unknown_values: set[tuple[str, ...]],
) -> None:
    document = target.contract.document
    if schema.schema_pointer is None:
        return
    for violation in target.contract.schemas.iterate_violations(schema.schema_pointer, json.loads(message)):
        tokens = tuple(split_json_pointer(violation.value_pointer))
        if not _is_violated_whatever_is_sent(violation, tokens, paths_to_unknown_values):
            continue
        is_in_template = read_pointer(template, tokens) is not MISSING
        pointer = f"{target.socket.pointer}/x-socket/{message_path}/value" if is_in_template else target.pointer
        file, line = document.find_position(violation.keyword_pointer)
        # The schema may be in another file than the template, whose file the error names already.
        schema_place = f"line {line}" if file == document.find_position(pointer)[0] else f"{file}:{line}"
        where = f"at {violation.value_pointer}, " if tokens else ""
        reason = f"{message_path} does not fit the schema of {schema.name} ({schema_place}): {where}{violation.message}"
        raise document.build_error(pointer, reason)


def _is_violated_whatever_is_sent(
    violation: SchemaViolation, tokens: tuple[str, ...], paths_to_unknown_values: set[tuple[str, ...]]
) -> bool:
    """Whether a message violates its schema whatever values its placeholders, voice and language get when it is sent.

    Args:
        violation: the violation of the schema by a message with sample values.
        tokens: the keys of the message that lead to the value that violates the schema.
        paths_to_unknown_values: the keys that lead to each value which is known only when the message is sent: a
            placeholder, the voice or the language.
    """
    # Of an unknown value, the sample has the type, and nothing else that counts.
    if any(tokens[: len(one)] == one for one in paths_to_unknown_values):
        return violation.keyword == "type"
    # The condition may hold for the sample alone.
    if paths_to_unknown_values and _CONDITIONAL_KEYWORDS.intersection(split_json_pointer(violation.keyword_pointer)):
        return False
    # An object with an unknown member is judged by what does not depend on the members.
    has_open_member = any(one[: len(tokens)] == tokens for one in paths_to_unknown_values)
    return not has_open_member or violation.keyword in _KEYWORDS_ABOUT_MEMBERS
