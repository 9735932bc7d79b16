"""Proposes how the key is sent, and which operations turn speech into text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from voicegauge.contract._overlays import TODO, escape_json_path_name
from voicegauge.contract.document_parts import fill_server_variables
from voicegauge.contract.proposed_parts import (
    CandidateOperation,
    JobProposal,
    ProposedField,
    find_field_by_name,
    find_job_proposal,
    find_speech_field,
    list_response_fields,
)
from voicegauge.contract.schemas import Schemas
from voicegauge.formats.located_yaml import CommentedValue, Document

_KEY_HEADER_PATTERN = re.compile(r"api-?key|auth|token", re.IGNORECASE)
"""Matches the name of a header that may contain the API key."""
_PROPOSED_SCHEME_NAME = "key"
"""Name of a proposed security scheme."""
_AWS_SIGNATURE_TYPE = "awsSigv4"
"""Value of `x-amazon-apigateway-authtype` of a security scheme with AWS Signature Version 4."""
_AWS_REGION_PATTERN = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
"""Matches the name of an AWS region in a host."""


def list_server_urls(document_data: Mapping[str, Any]) -> list[str]:
    """Return the absolute URLs of the servers of a document, with the defaults of their variables."""
    servers = document_data.get("servers")
    known = [one for one in servers if isinstance(one, dict)] if isinstance(servers, list) else []
    urls = [fill_server_variables(str(server.get("url", "")), server.get("variables")) for server in known]
    return [url for url in urls if url.startswith(("http://", "https://")) and "{" not in url]


class KeyProposal:
    """The security schemes that an overlay adds, and the operations that use them."""

    def __init__(self, document: Document, operations: Sequence[CandidateOperation]) -> None:
        components = document.data.get("components")
        self._components = components if isinstance(components, dict) else None
        schemes = self._components.get("securitySchemes") if self._components else None
        self._schemes: Mapping[str, Any] = schemes if isinstance(schemes, dict) else {}
        self._root_security = document.data.get("security")
        self._server_urls, self._operations = list_server_urls(document.data), operations

    @property
    def has_no_scheme(self) -> bool:
        """Whether the document does not state how the API key is sent."""
        return not self._schemes

    def replaces_security(self, operation: CandidateOperation) -> bool:
        """Whether the document names only schemes for an operation that need a user, such as a consent in a browser."""
        security = operation.operation_data.get("security", self._root_security)
        names = [list(one) for one in security if isinstance(one, dict)] if isinstance(security, list) else []
        return bool(names) and all(any(map(self._needs_consent_of_user, one)) for one in names)

    def list_todo(self) -> list[str]:
        """Return what a person has to complete about the key."""
        if self.has_no_scheme:
            advice = "write `is_key_optional: true` in x-provider, and delete `security`, the scheme and status 401"
            return [f"how the key is sent: the document has no security scheme. Of a server without keys, {advice}"]
        replaced = [one.path for one in self._operations if self.replaces_security(one)]
        return [f"how the key of {path} is sent: the document names a sign-in by a user only" for path in replaced]

    def iterate_actions(self, variable_prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the actions that add the schemes; `variable_prefix` begins the names of environment variables."""
        replaced = [one for one in self._operations if self.replaces_security(one)]
        if self.has_no_scheme or replaced:
            header = _find_key_header(self._operations)
            bearer = {"type": "http", "scheme": "bearer"}
            scheme: Any = {"type": "apiKey", "in": "header", "name": header} if header else bearer
            schemes = {"securitySchemes": {_PROPOSED_SCHEME_NAME: CommentedValue(scheme, TODO) if replaced else scheme}}
            if self._components is not None:
                yield {"target": "$.components", "update": schemes}
            else:
                yield {"target": "$", "update": {"components": schemes}}
        for operation in replaced:
            if "security" in operation.operation_data:  # lists are extended by an update, not replaced
                yield {
                    "target": f"$.paths['{escape_json_path_name(operation.path)}'].{operation.method}.security",
                    "remove": True,
                }
        for name, scheme in self._schemes.items():
            if isinstance(scheme, dict) and scheme.get("x-amazon-apigateway-authtype") == _AWS_SIGNATURE_TYPE:
                key = {
                    "id_variable": f"{variable_prefix}_ACCESS_KEY_ID",
                    "aws_signature": self._guess_aws_region_and_service(),
                }
                yield {
                    "target": f"$.components.securitySchemes['{escape_json_path_name(name)}']",
                    "update": {"x-key": CommentedValue(key, f"{TODO}: your region")},
                }

    def _needs_consent_of_user(self, scheme_name: str) -> bool:
        """Whether a security scheme needs a person's consent: OAuth 2 without client credentials."""
        scheme = self._schemes.get(scheme_name)
        if not isinstance(scheme, dict) or scheme.get("type") != "oauth2":
            return False
        flows = scheme.get("flows")
        return not (isinstance(flows, dict) and flows.get("clientCredentials"))

    def _guess_aws_region_and_service(self) -> dict[str, str]:
        """Return the AWS region and service in the host of the first server: polly.us-east-1.amazonaws.com."""
        host = urlsplit(self._server_urls[0]).hostname or "" if self._server_urls else ""
        region = _AWS_REGION_PATTERN.search(host)
        return {"region": region[0] if region else TODO, "service": host.partition(".")[0] or TODO}


PROPOSED_SECURITY: list[dict[str, list[str]]] = [{_PROPOSED_SCHEME_NAME: []}]
"""The value of `security` with the proposed scheme."""


def _find_key_header(operations: Sequence[CandidateOperation]) -> str | None:
    """Return the name of the header parameter that has the key; `None` if the document describes no such parameter."""
    names = [
        location.removeprefix("header.")
        for one in operations
        for location in one.request_fields
        if location.startswith("header.")
    ]
    return next((name for name in names if _KEY_HEADER_PATTERN.search(name) and name.lower() != "authorization"), None)


_TRANSCRIPTION_PATTERN = re.compile(
    r"transcri|recogni|speech[-_ ]?(?:to|2)[-_ ]?text|(?:^|[^a-z])(?:stt|asr|listen)(?:[^a-z]|$)", re.IGNORECASE
)
_TRANSCRIPT_FIELD_NAMES = ("text", "transcript", "transcription")
_LANGUAGE_FIELD_NAMES = ("language", "language_code", "languagecode", "lang", "locale")
_AUDIO_NAME_PATTERN = re.compile(r"audio|file|media|recording", re.IGNORECASE)
"""Matches the name of a field that may contain the uploaded audio."""


class TranscriptionProposal(NamedTuple):
    """The `x-` key that is proposed for an operation that transcribes speech."""

    key: str
    """`x-transcription`; `x-submit` if the operation starts a job."""
    extension: Mapping[str, Any]
    """The value of `key`, without targets."""
    job: JobProposal | None
    """The job that the operation starts; `None` if it responds with the transcript."""
    todo: tuple[str, ...]
    """What the document does not state, so that a person has to complete it."""


def is_transcription(operation: CandidateOperation) -> bool:
    """Whether an operation turns speech into text, judged by its names and by a file in a request without a text."""
    data = operation.operation_data
    names = f"{operation.path} {data.get('operationId', '')} {data.get('summary', '')}"
    has_file = any(_is_file_field(field) for field in operation.request_fields.values()) or operation.has_binary_request
    return _TRANSCRIPTION_PATTERN.search(names) is not None or (
        has_file and operation.audio is None and find_speech_field(operation.request_fields, "text") is None
    )


def propose_transcription(document: Document, operation: CandidateOperation) -> TranscriptionProposal:
    """Propose the extension of an operation for which `is_transcription` is true.

    Args:
        document: the whole document, which may have the operation that reports the status of a job.
        operation: the operation.
    """
    schemas = Schemas(document)
    response = list_response_fields(schemas, operation.operation_data)
    job = find_job_proposal(document, operation.path, response, has_audio=False)
    if job is not None:
        return TranscriptionProposal("x-submit", {}, job, job.todo)
    todo: list[str] = []
    audio = _find_audio_location(operation)
    if audio is None:
        todo.append(f"the field of {operation.path} that has the audio")
    fields: dict[str, Any] = {"audio": audio or TODO}
    language = find_field_by_name(operation.request_fields, _LANGUAGE_FIELD_NAMES)
    if language is not None:
        fields["language"] = language.location
    text = find_field_by_name(response, _TRANSCRIPT_FIELD_NAMES)
    if text is None:
        todo.append(f"the transcript in the response of {operation.path}, which the document does not name")
        location: Any = TODO
    else:
        location = text.location
        if response[text.location].location.count("/") > 1:
            todo.append(f"whether {text.location} of {operation.path} is the transcript")
            location = CommentedValue(text.location, TODO)
    extension = {"request_fields": fields, "response": {"text_location": location}}
    return TranscriptionProposal("x-transcription", extension, None, tuple(todo))


def _find_audio_location(operation: CandidateOperation) -> str | None:
    """Return the location of the uploaded audio, or `None`.

    It is a file of a form, else the body itself, else a field with a name such as "audio".
    """
    fields = operation.request_fields
    file = next((at for at, field in fields.items() if _is_file_field(field)), None)
    if file is not None or operation.has_binary_request:
        return file or "body"
    named = (at for at, field in fields.items() if field.is_text and _AUDIO_NAME_PATTERN.search(at.rpartition("/")[2]))
    return next(named, None)


def _is_file_field(field: ProposedField) -> bool:
    schema = field.schema
    media_type = schema.get("contentMediaType")
    return schema.get("format") == "binary" or (
        isinstance(media_type, str) and media_type.startswith(("audio/", "application/octet-stream"))
    )
