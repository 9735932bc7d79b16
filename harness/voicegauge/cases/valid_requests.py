"""Builds valid requests."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from voicegauge.cases.boundary_values import find_fitting_value
from voicegauge.cases.case import (
    ConformanceCase,
    build_case,
    expect_acceptance,
    expect_rejection_as_invalid,
    find_request_target,
)
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.contract.contract import Target
from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import parse_field_value
from voicegauge.errors import UsageError
from voicegauge.files import find_bundled_folder
from voicegauge.formats.bodies import is_form, is_json
from voicegauge.formats.locations import MISSING, read_pointer, write_value_at_pointer
from voicegauge.model.base import SpeechRequest, VoiceSample
from voicegauge.model.exchange import UploadedFile

SENTENCE_DURATION_S = 3.0
"""Duration in seconds of the part that is cut from the bundled recording. It ends in the pause after the first
sentence."""
DEFAULT_TEXT = "Good morning. This is a short test of a long story."
"""The default text of requests: long enough that speech stands out from noise, and short enough to be cheap."""
_ALTERNATIVE_TEXTS = ("Good morning.", "Hello.", "Hi", *(" ".join([DEFAULT_TEXT] * count) for count in (4, 20, 100)))
"""Texts for schemas in which the default text is too long or too short."""


def build_valid_speech_request(target: Target, *, text: str = DEFAULT_TEXT) -> SpeechRequest:
    """Return a speech request that `target` must accept.

    Args:
        target: the target to request.
        text: the text to speak. If the schema does not allow it, another one is chosen.

    Raises:
        UsageError: neither the contract nor its examples have a value for a required parameter or field.
    """
    needs_upload = "voice_sample_upload" in target.target_spec.required_fields
    speech = SpeechRequest(text=text, voice_sample=load_voice_sample() if needs_upload else None)
    speech = msgspec.structs.replace(speech, text=_choose_allowed_text(target, speech))
    request = map_speech_request(target, speech)
    fields = {f"body#/{name}": value for name, value in _find_missing_fields(target.operation, request).items()}
    extra = _find_missing_parameters(target.operation, request) | fields
    return msgspec.structs.replace(speech, extra=extra)


def _choose_allowed_text(target: Target, speech_request: SpeechRequest) -> str:
    """Return the text of `speech_request` if the schema allows it, else a shorter or longer one.

    If the schema allows none of the known texts, the unchanged text is returned.
    """
    candidates = (speech_request.text, *_ALTERNATIVE_TEXTS)
    allowed = (
        text for text in candidates if _is_allowed_text(target, msgspec.structs.replace(speech_request, text=text))
    )
    return next(allowed, speech_request.text)


def _is_allowed_text(target: Target, speech_request: SpeechRequest) -> bool:
    """Whether the schema of the text's field or parameter allows the text of `speech_request`, as it is sent."""
    request, location = map_speech_request(target, speech_request), target.speech.request_fields["text"].location
    if location.is_in_body:
        media = target.operation.request_media.get(request.media_type or "")
        errors = media.iterate_violations(convert_to_json_body(media, request.body)) if media is not None else ()
        return all(error.value_pointer != location.json_pointer for error in errors)
    value = str(location.read_request(request))
    return not any(
        parameter.parse_text(value).violations
        for parameter in target.operation.parameters
        if (parameter.message_part, parameter.name) == (location.message_part, location.name)
    )


def load_voice_sample() -> VoiceSample:
    """Return the bundled recording of a voice, which lasts fourteen seconds, for targets that clone voices."""
    path = find_bundled_folder("benchmarks") / "suites" / "voice" / "reference.mp3"
    return VoiceSample(data=path.read_bytes(), filename=path.name, media_type="audio/mpeg")


class SpokenSentence(NamedTuple):
    """A recording of one sentence."""

    file: UploadedFile
    """The recording, as it is uploaded."""
    text: str
    """The words that are spoken."""
    audio_duration_s: float
    """Duration of the recording in seconds."""


@functools.cache
def load_spoken_sentence(format_name: str = "wav") -> SpokenSentence:
    """Return the first sentence of the bundled recording in the format `format_name`.

    The sentence is long enough to be transcribed, and short enough to be uploaded many times.
    """
    from voicegauge.speech.decoding import decode
    from voicegauge.speech.encoding import (
        encode_at_bitrate,
        find_media_type_of_format,  # numpy takes long to import
    )

    text = (find_bundled_folder("benchmarks") / "suites" / "voice" / "reference.txt").read_text(encoding="utf-8")
    decoded = decode(load_voice_sample().data or b"")
    samples = decoded.samples[: round(SENTENCE_DURATION_S * decoded.sample_rate_hz)]
    data = encode_at_bitrate(samples, decoded.sample_rate_hz, format_name)
    file = UploadedFile(
        filename=f"sentence.{format_name}", media_type=find_media_type_of_format(format_name), data=data
    )
    return SpokenSentence(file, f"{text.split('.')[0]}.", len(samples) / decoded.sample_rate_hz)


def build_minimal_request(operation: Operation, media_type: MediaType | None = None) -> RequestParts | None:
    """Return a request with only the required body fields, for an operation without targets.

    A file field contains the bundled recording, and required headers have their documented value. If no valid body
    can be built in this way, it is the first valid JSON example; without one the result is `None`.

    Args:
        operation: the operation to call.
        media_type: the media type of the body; `None` for the first documented one, or no body if there is none.
    """
    media_type = media_type or next(iter(operation.request_media.values()), None)
    if media_type is None:
        return RequestParts(headers=operation.required_headers)
    request = RequestParts(headers=operation.required_headers, body={}, media_type=media_type.name)
    for name, inner in _iterate_required_fields(operation, media_type.schema):
        # Only required fields: an optional one may need something that exists, such as a voice of this account.
        value = (
            build_voice_sample_upload()
            if is_file_field(media_type, inner)
            else find_fitting_value(operation.contract.schemas, inner, name)
        )
        if value is MISSING:
            return _build_documented_request(operation, media_type)
        request = set_body_value(request, (name,), value)
    return request if is_valid_body(operation, request) else _build_documented_request(operation, media_type)


def _build_documented_request(operation: Operation, media_type: MediaType) -> RequestParts | None:
    """Return a request with the first example that fits the schema.

    `None` without one, and for bodies other than JSON.
    """
    if not is_json(media_type.name):
        return None  # an example cannot contain a file
    requests = (
        RequestParts(headers=operation.required_headers, body=copy.deepcopy(one.value), media_type=media_type.name)
        for one in media_type.examples
    )
    return next((one for one in requests if is_valid_body(operation, one)), None)


def _iterate_required_fields(
    operation: Operation, schema: Any, outer_properties: Mapping[str, Any] = {}
) -> Iterator[tuple[str, Any]]:
    """Yield the fields that a body must have, each with its schema; some may be repeated.

    Of `anyOf` and `oneOf` only the first branch is considered.
    """
    schema, _ = operation.contract.schemas.resolve_reference(schema)
    if not isinstance(schema, dict):
        return
    properties = {**outer_properties, **schema.get("properties", {})}
    for name in schema.get("required", ()):
        yield name, properties.get(name, {})
    first_branches = (next(iter(schema.get(keyword, ())), None) for keyword in ("anyOf", "oneOf"))
    for branch in (*schema.get("allOf", ()), *first_branches):
        yield from _iterate_required_fields(operation, branch, properties)


def is_file_field(media_type: MediaType, schema: Any) -> bool:
    """Whether a field with `schema`, in a request body of `media_type`, is a form field that carries a file."""
    schema, _ = media_type.schemas.resolve_reference(schema)
    is_binary = isinstance(schema, dict) and ("contentMediaType" in schema or schema.get("format") == "binary")
    return is_binary and media_type.name == "multipart/form-data"


def replace_file_names(
    media_type: MediaType, form_fields: Mapping[str, Any], build_file: Callable[[str], UploadedFile]
) -> dict[str, Any]:
    """Return documented form fields with a file in each file field, where the document shows only a file name.

    Args:
        media_type: the documented form.
        form_fields: the fields of an example of it.
        build_file: returns the file with a name.
    """
    schema = media_type.schema if isinstance(media_type.schema, dict) else {}
    return {
        name: build_file(str(value)) if is_file_field(media_type, schema.get("properties", {}).get(name, {})) else value
        for name, value in form_fields.items()
    }


def build_voice_sample_upload(filename: str | None = None) -> UploadedFile:
    """Return the bundled recording of a voice as a file to upload; it keeps its own name if `filename` is `None`."""
    voice = load_voice_sample()
    return UploadedFile(filename=filename or voice.filename, media_type=voice.media_type, data=voice.data or b"")


def count_charged_characters(operation: Operation, request: RequestParts) -> int:
    """Return the number of charged characters, in all items of a batch; 0 for an operation without speech."""
    if operation.speech is None:
        return 0
    target = find_request_target(operation, request)
    text = (operation.speech if target is None else target.speech).request_fields["text"].location
    texts = [text.read_body(request.body)]
    # A batch is charged by its items, each like a request of its own.
    if operation.batch is not None:
        # The documented location of the text is the one in the first item: <list>/0/<field>.
        depth = len(operation.batch.requests_location.pointer_tokens) + 1
        items = operation.batch.requests_location.read_body(request.body)
        texts = [read_pointer(item, text.pointer_tokens[depth:]) for item in items] if isinstance(items, list) else []
    return sum(
        len(text) if target is None else target.count_charged_characters(text, includes_template=True)
        for text in texts
        if isinstance(text, str)
    )


def _find_missing_parameters(operation: Operation, request: RequestParts) -> dict[str, Any]:
    """Return values for the required parameters that are missing in `request`, by <message part>.<name>.

    Cookies are left out.

    Raises:
        UsageError: no value is known for a missing parameter.
    """
    given = {
        "path": request.path_parameters,
        "query": request.query_parameters,
        "header": request.headers,
        "cookie": {},
    }
    values = {}
    for parameter in operation.parameters:
        if (
            parameter.is_required
            and parameter.name not in given[parameter.message_part]
            and parameter.message_part != "cookie"
        ):
            sample = find_fitting_value(
                operation.contract.schemas, parameter.part_data.get("schema", {}), parameter.name
            )
            value = parameter.part_data.get("example", sample)
            if value is MISSING:
                raise UsageError(f"{operation.id}: no value is known for the parameter {parameter.name}")
            values[f"{parameter.message_part}.{parameter.name}"] = value
    return values


def add_required_fields(operation: Operation, request: RequestParts) -> RequestParts:
    """Return `request` with a value for each required field that is missing in it.

    Raises:
        UsageError: no value is known for a missing field.
    """
    if not isinstance(request.body, dict):
        return request
    return msgspec.structs.replace(request, body={**request.body, **_find_missing_fields(operation, request)})


def _find_missing_fields(operation: Operation, request: RequestParts) -> dict[str, Any]:
    """Return values for the required fields that are missing in the body of `request`, by name.

    Raises:
        UsageError: no value is known for a missing field.
    """
    media = operation.request_media.get(request.media_type or "")
    schema = media.schema if media else None
    if not isinstance(schema, dict):
        return {}
    values = {}
    body = request.body if isinstance(request.body, dict) else {}
    for name in schema.get("required", ()):
        if name not in body:
            value = find_fitting_value(operation.contract.schemas, schema.get("properties", {}).get(name, {}), name)
            if value is MISSING:
                raise UsageError(f"{operation.id}: no value is known for the required field {name}")
            values[name] = value
    return values


def convert_to_json_body(media_type: MediaType, body: Any) -> Any:
    """Convert a body to the JSON value that is validated against its schema.

    Form fields are texts, so they are converted to the types in the schema. A file becomes a string with one character
    per byte. An empty list, which is not sent, is left out. A body that is not a form is returned unchanged.
    """
    from voicegauge.transport.body_encoding import join_form_field_lists, list_field_values

    if not is_form(media_type.name) or not isinstance(body, dict):
        return body
    schema = media_type.schema if isinstance(media_type.schema, dict) else {}
    properties = schema.get("properties", {})
    value: dict[str, Any] = {}
    for name, field in join_form_field_lists(body, media_type.separator_by_list_field).items():
        sent = list_field_values(field)
        texts = [one for one in sent if isinstance(one, str)]
        # Latin-1 maps each byte to one character, so that `maxLength` limits the size of a file.
        files = [one.data.decode("latin-1") for one in sent if isinstance(one, UploadedFile)]
        if texts:
            text = texts[0] if len(texts) == 1 else texts
            separator = media_type.separator_by_list_field.get(name)
            value[name] = parse_field_value(media_type.schemas, properties.get(name, {}), text, separator)
        elif files:
            value[name] = files if isinstance(field, list) else files[0]
    return value


def is_valid_body(operation: Operation, request: RequestParts) -> bool:
    """Whether the body of `request` fits the schema of its media type.

    The result is true if `operation` does not document that type.
    """
    media = operation.request_media.get(request.media_type or "")
    return media is None or media.is_valid(convert_to_json_body(media, request.body))


def set_body_value(request: RequestParts, body_path: tuple[str, ...], value: Any) -> RequestParts:
    """Return a copy of `request` with `value` at `body_path` of its body; `MISSING` removes what is there.

    Raises:
        ValueError: `body_path` leads through a value that cannot contain others, such as a text.
    """
    body = copy.deepcopy(request.body)  # the requests of a plan share their unchanged values
    if value is MISSING:
        parent = read_pointer(body, body_path[:-1])
        if isinstance(parent, dict):
            parent.pop(body_path[-1], None)
    else:
        body = write_value_at_pointer(body, body_path, value)
    return msgspec.structs.replace(request, body=body)


def add_headers(request: RequestParts, headers: dict[str, str]) -> RequestParts:
    """Return `request` with `headers`, which replace those of the request with the same names."""
    return msgspec.structs.replace(request, headers={**request.headers, **headers})


# The case of a single request that is sent outside of a plan: a random request, or one from a test.


ExpectedAcceptance = Literal["accepted", "rejected"]


def build_request_case(
    target: Target, request: RequestParts, expected_acceptance: ExpectedAcceptance, description: str
) -> ConformanceCase:
    """Return the case of a random request, or of a request that a test sends.

    Args:
        target: the target of the request.
        request: the request.
        expected_acceptance: whether it should be accepted or rejected.
        description: what is special about the request.
    """
    operation = target.operation
    pointer = f"{operation.pointer}/requestBody"
    if expected_acceptance == "accepted":
        expected = expect_acceptance(description, pointer)
    else:
        expected = expect_rejection_as_invalid(operation, description, pointer)
    case = build_case(
        operation,
        expected,
        target_name=target.name,
        request=request,
        text_character_count=count_charged_characters(operation, request),
        is_fuzzed=True,
    )
    # A planned case may have the same description, and what is known of cases is kept by their ids.
    return msgspec.structs.replace(case, id=f"{operation.contract.id}/{operation.id}: fuzzing, {description}")


def build_modified_request(
    target: Target, changed_fields: Mapping[str, Any], removed_fields: Iterable[str]
) -> RequestParts:
    """Return a plain valid request to `target`, with fields of its body changed or removed.

    Raises:
        UsageError: no valid request to the target is known.
    """
    request = map_speech_request(target, build_valid_speech_request(target))
    for name, value in changed_fields.items():
        request = set_body_value(request, (name,), value)
    for name in removed_fields:
        request = set_body_value(request, (name,), MISSING)
    return request
