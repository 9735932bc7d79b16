"""Infers an OpenAPI document from recordings: it describes the recorded requests and responses of one host."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract.proposed_parts import MODEL_FIELD_NAMES, SPEECH_FIELD_NAMES
from voicegauge.errors import DataError
from voicegauge.formats.bodies import UnreadableBodyError, infer_schema, is_form, is_json, read_form, read_json
from voicegauge.model.exchange import Exchange, Request, Response

# Ids of models and voices are left out: the client chooses them, so they link no two requests.
_ID_FIELD_PATTERN = re.compile(r"(?!model|voice|.*[_-]?model)(?:.*_)?(?:id|uuid)$|(?!model|voice).*[a-z]I[dD]$")
"""Matches the names of fields that contain the id of something that a request created, such as a job."""
_ID_PATH_SEGMENT_PATTERN = re.compile(r"[0-9a-fA-F-]{16,}|(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9]{16,}|\d{4,}")
"""Matches a segment of a path that is an id by its form: long, or a number of four digits."""
_VOICE_PATH_SEGMENT_PATTERN = re.compile(r"voice|text-to-speech|tts|speak", re.IGNORECASE)
"""Matches the segment of a path before the id of a voice."""
_STATE_FIELD_NAMES = ("state", "status", "job_status", "task_status", "phase")
"""Names of fields with the state of a job."""
_API_KEY_NAME_PATTERN = re.compile(
    r"^(?:x[-_])?(?:[a-z]+[-_])?(?:api[-_]?key|key|token|access[-_]token)$", re.IGNORECASE
)
"""Matches the name of a header or query parameter that has the API key."""
_AUDIO_URL_PATTERN = re.compile(r"^https?://\S+\.(?:mp3|wav|ogg|opus|flac|m4a|aac|pcm|webm)(?:\?|$)", re.IGNORECASE)
"""Matches a URL whose suffix is that of an audio file."""
_FIELD_NAMES_WITH_EXAMPLES = {
    name for field in SPEECH_FIELD_NAMES if field != "text" for name in SPEECH_FIELD_NAMES[field]
} | {*MODEL_FIELD_NAMES}
"""Names of fields whose recorded values become examples in the document. Texts and other values stay in the
recording."""
_MAX_EXAMPLE_CHARACTERS = 80
"""Maximum length of a recorded value that becomes an example."""


class InferredApi(NamedTuple):
    """The document of the API of one host, inferred from recordings."""

    document: dict[str, Any]
    """The OpenAPI document as plain data."""
    speech_operation_ids: tuple[str, ...]
    """Ids of the operations that produced speech in the recordings."""
    undescribed_call_messages: tuple[str, ...]
    """One line for each recorded host and operation that the document does not describe, with the reason."""


class _RecordedCall(NamedTuple):
    """A recorded exchange, with the values in it from which the document is inferred."""

    path_template: str
    """The path of the URL, in which names in braces replace ids: "/jobs/{job_id}"."""
    exchange: Exchange
    query: dict[str, str]
    """The query parameters by name."""
    id_query_parameter_names: tuple[str, ...]
    """Names of the query parameters whose value is an id from a response."""
    request_body: Any
    """The parsed JSON body, or the text fields of a form; `None` if the request has neither."""
    response_body: Any
    """The parsed JSON body; `None` if the response is not JSON."""


def infer_api(exchanges: Sequence[Exchange], source_name: str, version_date: str, host: str = "") -> InferredApi:
    """Infer an OpenAPI document from the recorded exchanges with one host.

    The document describes the requests that led to speech, and those with an id in the path or the query. Downloads of
    audio are left out.

    Args:
        exchanges: all exchanges, in order.
        source_name: name of the recordings, which the document states as its source.
        version_date: the date that becomes the version of the document.
        host: the host to describe, with its port if it has one; by default that of the first speech request.

    Raises:
        DataError: no exchange (with `host`, if it is given) has a text in the request and leads to audio.
    """
    ids = _collect_field_names_by_id(exchanges)
    calls = [_parse_recorded_call(exchange, ids) for exchange in exchanges]
    audio_urls = {call.exchange.request.url for call in calls if _is_audio_response(call)}
    speech = [call for call in calls if _is_speech_request(call, calls, audio_urls)]
    if not speech:
        raise DataError(
            f"none of {len(exchanges)} recorded exchanges has a text in the request and audio in the response, or in "
            "that of a job that it started"
        )
    origin = _choose_origin(speech, host)
    described_paths = {call.path_template for call in speech if _get_origin(call) == origin}
    described_paths |= {
        call.path_template
        for call in calls
        if _get_origin(call) == origin
        and ("{" in call.path_template or call.id_query_parameter_names)
        and not _is_audio_response(call)
    }
    by_operation: dict[tuple[str, str], list[_RecordedCall]] = defaultdict(list)
    for call in calls:
        if _get_origin(call) == origin and call.path_template in described_paths:
            by_operation[call.path_template, call.exchange.request.method.lower()].append(call)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": urlsplit(origin).netloc, "version": version_date},
        "servers": [{"url": origin}],
        "paths": {},
    }
    scheme = next(filter(None, (_find_security_scheme(call.exchange) for call in speech)), None)
    if scheme is not None:
        document |= {"security": [{"key": []}], "components": {"securitySchemes": {"key": scheme}}}
    for (path, method), same in by_operation.items():
        document["paths"].setdefault(path, {})[method] = _build_operation(
            path, method, same, {"document_name": source_name, "is_inferred": True}
        )
    names = dict.fromkeys(
        _build_operation_id(c.path_template, c.exchange.request.method) for c in speech if _get_origin(c) == origin
    )
    return InferredApi(
        document, tuple(names), tuple(_describe_undescribed_operations(calls, speech, origin, described_paths))
    )


def _choose_origin(speech_calls: Sequence[_RecordedCall], host: str) -> str:
    """Return the origin (scheme, host and port) with the named host; by default that of the first speech request."""
    origins = dict.fromkeys(map(_get_origin, speech_calls))
    for origin in origins:
        if not host or urlsplit(origin).netloc == host:
            return origin
    raise DataError(f"no recorded speech request to {host}; there are some to: {', '.join(origins)}")


def _describe_undescribed_operations(
    calls: Sequence[_RecordedCall],
    speech_calls: Sequence[_RecordedCall],
    described_origin: str,
    described_paths: set[str],
) -> Iterator[str]:
    """Yield a line for each host and operation that is not described: the number of exchanges, and the reason.

    Downloads of audio are not counted.
    """
    spoken = {id(call) for call in speech_calls}
    others = [call for call in calls if id(call) in spoken or not _is_audio_response(call)]
    for origin, count in Counter(map(_get_origin, others)).items():
        if origin != described_origin:
            operations = ", ".join(
                dict.fromkeys(map(_format_operation, (c for c in speech_calls if _get_origin(c) == origin)))
            )
            reason = f"only {described_origin} is proposed" + ("; --host proposes another" if operations else "")
            yield f"{origin}: exchanges: {count}; speech: {operations or 'none'}; {reason}"
    local = [call for call in others if _get_origin(call) == described_origin]
    described = {_format_operation(call) for call in speech_calls if _get_origin(call) == described_origin}
    texts = {_format_operation(call) for call in local if _sends_text_to_speak(call)} - described
    unused = {_format_operation(call) for call in local if call.path_template not in described_paths} - texts
    counts = Counter(map(_format_operation, local))
    for name in filter(texts.__contains__, counts):
        reason = "no audio in a response, nor in that of a job whose id is in its URL"
        yield f"{name}: exchanges: {counts[name]}; a text in the request, but {reason}"
    for name in filter(unused.__contains__, counts):
        yield f"{name}: exchanges: {counts[name]}; no text and audio, and no id of a job in the URL"


def _format_operation(call: _RecordedCall) -> str:
    return f"{call.exchange.request.method} {call.path_template}"


def _get_origin(call: _RecordedCall) -> str:
    parts = urlsplit(call.exchange.request.url)
    # Without the user and password that a recorded URL may have.
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _collect_field_names_by_id(exchanges: Sequence[Exchange]) -> dict[str, str]:
    """Return the ids in JSON responses (the values of fields such as `job_id`), each with the name of its field."""
    found: dict[str, str] = {}
    for exchange in exchanges:
        for name, value in _iterate_leaves(_read_json_body(exchange.response)):
            # A short id, such as 1, is a segment of other paths by chance.
            if _ID_FIELD_PATTERN.match(name) and isinstance(value, (str, int)) and len(str(value)) > 3:
                found.setdefault(str(value), name)
    return found


def _iterate_leaves(json_value: Any, field_name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is neither an object nor a list, with the name of the field that has it."""
    if isinstance(json_value, dict):
        for key, item in json_value.items():
            yield from _iterate_leaves(item, key)
    elif isinstance(json_value, list):
        for item in json_value:
            yield from _iterate_leaves(item, field_name)
    else:
        yield field_name, json_value


def _parse_recorded_call(exchange: Exchange, field_name_by_id: Mapping[str, str]) -> _RecordedCall:
    url = urlsplit(exchange.request.url)
    segments: list[str] = []
    for segment in url.path.split("/"):
        name = field_name_by_id.get(segment)
        if name is None and _ID_PATH_SEGMENT_PATTERN.fullmatch(segment):
            name = "voice_id" if segments and _VOICE_PATH_SEGMENT_PATTERN.search(segments[-1]) else "id"
        # Parameters of one path need different names.
        if name is not None and f"{{{name}}}" in segments:
            name = f"{name}_{len(segments)}"
        # Braces in a recorded path would be read as a parameter.
        segments.append(f"{{{name}}}" if name is not None else re.sub(r"[{}]", "-", segment))
    request = exchange.request
    query = {name: value for name, value in parse_qsl(url.query) if not _API_KEY_NAME_PATTERN.match(name)}
    body = _read_json_body(request)
    if body is None and is_form(request.media_type):
        try:
            body = dict(read_form(request.find_header("content-type") or "", request.body).fields)
        except UnreadableBodyError:
            body = None
    response = _read_json_body(exchange.response)
    id_queries = tuple(name for name, value in query.items() if value in field_name_by_id)
    return _RecordedCall("/".join(segments) or "/", exchange, query, id_queries, body, response)


def _read_json_body(message: Request | Response) -> Any:
    """Return the JSON value of a body; `None` if it is not JSON."""
    if not message.body or not is_json(message.media_type):
        return None
    try:
        return read_json(message.body)
    except UnreadableBodyError:
        return None


def _is_audio_response(call: _RecordedCall) -> bool:
    return call.exchange.response.media_type.startswith("audio/") and call.exchange.response.status < 300


def _is_speech_request(call: _RecordedCall, calls: Sequence[_RecordedCall], audio_urls: set[str]) -> bool:
    """Whether a request has a text to speak, and the response to it or to a later request with its job id has audio."""
    if not _sends_text_to_speak(call) or call.exchange.response.status >= 300:
        return False
    if _is_audio_response(call) or _has_audio_or_audio_url(call, audio_urls):
        return True
    # The status and the audio of a job are found by its id, which these requests have in the path or the query.
    leaves = _iterate_leaves(call.response_body)
    ids = {str(value) for name, value in leaves if _ID_FIELD_PATTERN.match(name) and isinstance(value, (str, int))}
    later = [
        other for other in calls if ids & {*urlsplit(other.exchange.request.url).path.split("/"), *other.query.values()}
    ]
    return any(_is_audio_response(other) or _has_audio_or_audio_url(other, audio_urls) for other in later)


def _sends_text_to_speak(call: _RecordedCall) -> bool:
    names = {name.lower() for name, value in _iterate_leaves({"": call.request_body, **call.query}) if value}
    return bool(names & set(SPEECH_FIELD_NAMES["text"]))


def _has_audio_or_audio_url(call: _RecordedCall, audio_urls: set[str]) -> bool:
    """Whether a JSON response has the URL of audio, or audio itself."""
    return any(
        isinstance(value, str)
        and value
        and (value in audio_urls or _AUDIO_URL_PATTERN.match(value) or "audio" in name.lower())
        for name, value in _iterate_leaves(call.response_body)
    )


def _find_security_scheme(exchange: Exchange) -> dict[str, str] | None:
    """Return the security scheme by which a request sends its key; `None` if the recorded request has no key."""
    for name, value in exchange.request.headers:
        if name.lower() == "authorization":
            return {"type": "http", "scheme": value.partition(" ")[0].lower() if " " in value.strip() else "bearer"}
        if _API_KEY_NAME_PATTERN.match(name):
            return {"type": "apiKey", "in": "header", "name": name}
    names = [name for name, _ in parse_qsl(urlsplit(exchange.request.url).query) if _API_KEY_NAME_PATTERN.match(name)]
    return {"type": "apiKey", "in": "query", "name": names[0]} if names else None


def _build_operation_id(path_template: str, method: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", path_template)
    return method.lower() + "".join(word[:1].upper() + word[1:] for word in words)


def _build_operation(
    path_template: str, method: str, calls: Sequence[_RecordedCall], source_reference: Mapping[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _build_operation_id(path_template, method),
        "x-source": {**source_reference},
    }
    path_names = re.findall(r"\{([^{}]+)\}", path_template)
    queries = {
        name: [call.query[name] for call in calls if name in call.query] for call in calls for name in call.query
    }
    parameters = [_build_path_parameter(name, index, path_template, calls) for index, name in enumerate(path_names)]
    for name, values in queries.items():
        parameter = {"name": name, "in": "query", "schema": _add_format_and_examples(name, {"type": "string"}, values)}
        is_id = len(values) == len(calls) and any(name in call.id_query_parameter_names for call in calls)
        parameters.append({**parameter, "required": True} if is_id else parameter)
    if parameters:
        operation["parameters"] = parameters
    bodies = [call for call in calls if isinstance(call.request_body, dict) and call.exchange.response.status < 300]
    if bodies:
        schema = _infer_object_schema([call.request_body for call in bodies], is_request_body=True)
        media_type = bodies[0].exchange.request.media_type
        operation["requestBody"] = {"required": True, "content": {media_type: {"schema": schema}}}
    operation["responses"] = {}
    for status in sorted({call.exchange.response.status for call in calls}):
        same = [call for call in calls if call.exchange.response.status == status]
        operation["responses"][str(status)] = _build_response(same, source_reference)
    return operation


def _build_path_parameter(
    parameter_name: str, parameter_index: int, path_template: str, calls: Sequence[_RecordedCall]
) -> dict[str, Any]:
    position = [i for i, segment in enumerate(path_template.split("/")) if segment.startswith("{")][parameter_index]
    values = [urlsplit(call.exchange.request.url).path.split("/")[position] for call in calls]
    schema = _add_format_and_examples(parameter_name, {"type": "string"}, values)
    return {"name": parameter_name, "in": "path", "required": True, "schema": schema}


def _build_response(calls: Sequence[_RecordedCall], source_reference: Mapping[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": "Recorded", "x-source": {**source_reference}}
    media_types = dict.fromkeys(call.exchange.response.media_type for call in calls)
    content: dict[str, Any] = {}
    for media_type in filter(None, media_types):
        bodies = [call.response_body for call in calls if call.exchange.response.media_type == media_type]
        values = [body for body in bodies if body is not None]
        content[media_type] = {"schema": _infer_object_schema(values)} if values else {}
    return {**response, "content": content} if content else response


def _infer_object_schema(recorded_bodies: Sequence[Any], *, is_request_body: bool = False) -> dict[str, Any]:
    """Infer the schema of bodies. Recorded values of fields such as a voice or a state become examples.

    In the schema of requests, the fields for text, voice and model are required if all requests have them.
    """
    schema = infer_schema(recorded_bodies)
    _add_format_and_examples_below(schema, recorded_bodies)
    needed = {*SPEECH_FIELD_NAMES["text"], *SPEECH_FIELD_NAMES["voice"], *MODEL_FIELD_NAMES}
    if not is_request_body:
        return schema
    objects = [value for value in recorded_bodies if isinstance(value, dict)]
    required = [
        name for name in schema.get("properties", {}) if name.lower() in needed and all(name in o for o in objects)
    ]
    return {**schema, "required": required} if required else schema


def _add_format_and_examples_below(schema: dict[str, Any], recorded_values: Sequence[Any]) -> None:
    """Add formats and examples to the schemas of the properties and items of `schema`, at any depth."""
    for name, inner in schema.get("properties", {}).items():
        found = [value[name] for value in recorded_values if isinstance(value, dict) and name in value]
        _add_format_and_examples(name, inner, found)
        _add_format_and_examples_below(inner, found)
    items = schema.get("items")
    if isinstance(items, dict):
        listed = [item for value in recorded_values if isinstance(value, list) for item in value]
        _add_format_and_examples("", items, listed)
        _add_format_and_examples_below(items, listed)


def _add_format_and_examples(field_name: str, schema: dict[str, Any], recorded_values: Sequence[Any]) -> dict[str, Any]:
    """Add the format of URLs to `schema`, and the recorded values of fields such as a voice or a state as examples.

    Return `schema`.
    """
    texts = [value for value in recorded_values if isinstance(value, str)]
    if texts and all(text.startswith(("https://", "http://")) for text in texts):
        schema["format"] = "uri"
    stated = [text for text in dict.fromkeys(texts) if text and len(text) <= _MAX_EXAMPLE_CHARACTERS]
    if stated and (field_name.lower() in _FIELD_NAMES_WITH_EXAMPLES or field_name.lower() in _STATE_FIELD_NAMES):
        schema["examples"] = stated
    return schema
