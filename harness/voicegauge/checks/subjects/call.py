"""One exchange, read by the operation it belongs to, and what is judged by one."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from voicegauge.contract import (
    MISSING,
    Contract,
    Operation,
    ResponseSpec,
    StreamReader,
    Target,
    fit_text,
    read_stream,
)
from voicegauge.formats import (
    MEDIA_TYPE,
    Form,
    Location,
    UnreadableBodyError,
    is_form,
    is_json,
    read_form,
    read_json,
)
from voicegauge.model import Exchange, Request

RequestOrigin = Literal["sent", "broken", "unknown"]
"""`broken`: made invalid on purpose. `unknown`: a document shows the answer alone."""


class _RequestValues(NamedTuple):
    """The decoded values of a request, for `Location.read_request`."""

    path: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    """The first value of each header."""
    body: Any


@dataclass(frozen=True, eq=False)
class Call:
    """One exchange, read by the operation it belongs to."""

    operation: Operation
    exchange: Exchange
    target: Target | None = None
    request_origin: RequestOrigin = "sent"
    submit: Call | None = None
    """For a status answer: the request whose job it tells of."""

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.operation.contract

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return self.exchange.response.status

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @functools.cached_property
    def documented_response(self) -> ResponseSpec | None:
        """The documented response; `None` where the status is not documented."""
        return self.operation.response(self.status)

    @property
    def response_json(self) -> Any:
        """The JSON value of the answer; `MISSING` where it is not to be read as JSON."""
        return self._read[0]

    @property
    def expects_json(self) -> bool:
        """Whether the answer calls itself JSON, or names no type where JSON alone is documented."""
        media_type = self.exchange.response.media_type
        if media_type:
            return is_json(media_type)
        return bool(self.documented_response and self.documented_response.media) and all(
            map(is_json, self.documented_response.media if self.documented_response else ())
        )

    @property
    def json_error(self) -> str | None:
        """Why the body is no JSON, where it should be."""
        return self._read[1]

    @functools.cached_property
    def _read(self) -> tuple[Any, str | None]:
        if not self.exchange.response.body or not self.expects_json:
            return MISSING, None
        try:
            return read_json(self.exchange.response.body), None
        except UnreadableBodyError as error:
            return MISSING, str(error)

    @functools.cached_property
    def stream(self) -> StreamReader | None:
        """The events of a streamed answer; `None` where it is none, or has no body."""
        spec, response = self.operation.stream, self.exchange.response
        if spec is None or not self.ok or response.media_type != MEDIA_TYPE or not response.body:
            return None
        return read_stream(spec, response.body)

    @functools.cached_property
    def request_value(self) -> Any:
        """The request body as a JSON value; form fields are read as their schema means them.

        `MISSING` where there is none or it cannot be read. A file stands as text of
        as many characters as it has bytes.
        """
        request = self.exchange.request
        media_type = request_media_type(request)
        if not request.body:
            return MISSING
        try:
            if is_json(media_type):
                return read_json(request.body)
        except UnreadableBodyError:
            return MISSING
        return MISSING if self.form is None else self._form_value(self.form, media_type)

    @functools.cached_property
    def form(self) -> Form | None:
        """The form that was sent; `None` where the request is none, or cannot be read."""
        request = self.exchange.request
        if not request.body or not is_form(request_media_type(request)):
            return None
        try:
            return read_form(request.header("content-type") or "", request.body)
        except UnreadableBodyError:
            return None

    def _form_value(self, form: Form, media_type: str) -> dict[str, Any]:
        media = self.operation.request_media.get(media_type)
        schema = media.schema if media else {}
        properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
        schemas = self.contract.schemas
        value: dict[str, Any] = {
            name: fit_text(schemas, properties.get(name, {}), text) for name, text in form.fields.items()
        }
        value.update({name: upload.data.decode("latin-1") for name, upload in form.files.items()})
        return value

    @functools.cached_property
    def path_parameters(self) -> dict[str, str]:
        """The parameters in the request's path, whatever base URL it was sent to."""
        path = urlsplit(self.exchange.request.url).path
        segments = path.split("/")
        for start in range(1, len(segments)):
            found = self.operation.match("/" + "/".join(segments[start:]))
            if found is not None:
                return {name: unquote(value) for name, value in found.items()}
        return {}

    @functools.cached_property
    def base_url(self) -> str | None:
        """The URL that the operation's path was appended to."""
        parts = urlsplit(self.exchange.request.url)
        segments = parts.path.split("/")
        for start in range(1, len(segments)):
            if self.operation.match("/" + "/".join(segments[start:])) is not None:
                return f"{parts.scheme}://{parts.netloc}{'/'.join(segments[:start])}"
        return None

    def read_request(self, location: Location) -> Any:
        """The value at `location` of the request, or `MISSING`."""
        return location.read_request(self._request_values)

    @functools.cached_property
    def _request_values(self) -> _RequestValues:
        request = self.exchange.request
        query = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
        return _RequestValues(self.path_parameters, query, dict(reversed(request.headers)), self.request_value)

    def read_response(self, location: Location | None) -> Any:
        """The value at `location` of the response, or `MISSING`."""
        if location is None:
            return MISSING
        return location.read_response(self.response_json, self.exchange.response.headers)

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about this call may stand at."""
        places = [f"{self.operation.pointer}/responses/{self.status}"]
        if self.documented_response is not None:
            places += [
                self.documented_response.pointer,
                f"{self.operation.pointer}/responses/{self.documented_response.status}",
            ]
        if self.target is not None:
            places.append(self.target.pointer)
        return (*places, f"{self.operation.pointer}/requestBody", self.operation.pointer)


@dataclass(frozen=True, eq=False)
class CallSubject:
    """What is judged by one call: its contract, its place and the disputes around it are the call's."""

    call: Call

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.call.contract

    @property
    def operation(self) -> Operation:
        """The operation that was called."""
        return self.call.operation

    @property
    def target(self) -> Target | None:
        """What was asked for."""
        return self.call.target

    @property
    def exchange(self) -> Exchange:
        """The exchange of the call."""
        return self.call.exchange

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about it may stand at."""
        return self.call.dispute_scopes


def request_media_type(request: Request) -> str:
    """The content type of a request without its parameters, in lower case."""
    return (request.header("content-type") or "").split(";")[0].strip().lower()
