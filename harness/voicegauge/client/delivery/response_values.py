"""Reading what a contract points at out of an exchange. Answers are hostile input."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract import MISSING, Operation, read_pointer
from voicegauge.formats import Location, UnreadableBodyError, is_form, is_json, read_form, read_json, unescape
from voicegauge.model import Exchange, Response

_EXPRESSION = re.compile(r"^\$(?P<side>request|response)\.(?P<source>body|header\.|query\.|path\.)(?P<rest>.*)$")
MAX_ID_CHARACTERS = 512
"""An id goes into a URL; longer ones are no ids."""
MAX_NUMBER = 1e9
"""Of dollars or credits: a larger one is no charge."""


class ParsedResponse:
    """One exchange, read by places; the body is parsed once."""

    def __init__(self, exchange: Exchange) -> None:
        """Parse nothing yet."""
        self.exchange = exchange
        self._json: Any = None
        self._parsed = False

    @property
    def response(self) -> Response:
        """The response."""
        return self.exchange.response

    @property
    def json(self) -> Any:
        """The JSON body; `MISSING` where there is none that can be read."""
        if not self._parsed:
            self._parsed = True
            try:
                self._json = read_json(self.response.body)
            except UnreadableBodyError:
                self._json = MISSING
        return self._json

    def read(self, location: Location | None) -> Any:
        """The value at a place of the response; `MISSING` where there is none."""
        return MISSING if location is None else location.read_response(self.json, self.response.headers)

    def text(self, location: Location | None) -> str | None:
        """The text (or whole number, as text) at a place; `None` where there is none."""
        value = self.read(location)
        if isinstance(value, str):
            return value or None
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else None

    def number(self, location: Location | None) -> float | None:
        """The number from 0 to `MAX_NUMBER` at a place, also written as text; `None` where there is none."""
        value = self.read(location)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if 0 <= number <= MAX_NUMBER else None

    def evaluate(self, expression: Any) -> Any:
        """An OpenAPI runtime expression (section 4.8.20.4), or a constant, as it is in a link."""
        if not isinstance(expression, str) or not expression.startswith("$"):
            return expression
        found = _EXPRESSION.match(expression)
        if not found:
            return MISSING
        if found["side"] == "response":
            return self._evaluate_response(found["source"], found["rest"])
        return self._evaluate_request(found["source"], found["rest"])

    def _evaluate_response(self, source: str, rest: str) -> Any:
        if source == "header.":
            return self.read(Location("header", rest))
        return self.read(Location("body", tokens=_tokens(rest))) if source == "body" else MISSING

    def _evaluate_request(self, source: str, rest: str) -> Any:
        request = self.exchange.request
        if source == "header.":
            value = request.header(rest)
            return MISSING if value is None else value
        if source == "query.":
            return dict(parse_qsl(urlsplit(request.url).query)).get(rest, MISSING)
        if source == "body":
            return read_pointer(_request_body(request.header("content-type") or "", request.body), _tokens(rest))
        return MISSING


def _tokens(fragment: str) -> list[str]:
    return [unescape(token) for token in fragment.removeprefix("#").split("/")[1:]]


def _request_body(content_type: str, body: bytes) -> Any:
    media_type = content_type.split(";", maxsplit=1)[0].strip().lower()
    try:
        if is_json(media_type):
            return read_json(body)
        return read_form(content_type, body).fields if is_form(media_type) else MISSING
    except UnreadableBodyError:
        return MISSING


def is_id(value: Any) -> bool:
    """Whether `value` can stand for a job: short text without control characters."""
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS and value.isprintable()


def link_parameters(answer: ParsedResponse, source: Operation, destination: Operation) -> dict[str, Any] | None:
    """The parameters of `destination` by the link that the answer of `source` documents.

    `None` where no link leads there, or where it points at something that is not there.
    """
    response = source.response(answer.response.status)
    if response is None:
        return None
    for link in response.links.values():
        if link.get("operationId") != destination.id:
            continue
        values = {name: answer.evaluate(value) for name, value in link.get("parameters", {}).items()}
        usable = {name: value for name, value in values.items() if is_id(value) or _is_constant(value)}
        return usable if len(usable) == len(values) else None
    return None


def _is_constant(value: Any) -> bool:
    """A number or a truth value: what else a URL can carry."""
    return isinstance(value, bool | int | float)


def id_parameter(source: Operation | None, destination: Operation, id_place: Location | None) -> str | None:
    """The parameter of `destination` that takes the job's id.

    By the link of `source` that carries what stands at `id_place`; else the only
    parameter that the call cannot do without.
    """
    expression = f"$response.{id_place}"
    for response in source.responses.values() if source else ():
        for link in response.links.values():
            if link.get("operationId") == destination.id:
                for name, value in link.get("parameters", {}).items():
                    if value == expression:
                        return _bare(str(name))
    required = [parameter.name for parameter in destination.parameters if parameter.required]
    return required[0] if len(required) == 1 else None


def _bare(name: str) -> str:
    """A link may qualify a parameter by its place: "path.id"."""
    place, _, rest = name.partition(".")
    return rest if place in ("path", "query", "header") and rest else name


def place_parameters(operation: Operation, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """`values` by where `operation` documents each parameter: path, query or header."""
    placed: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    documented = {parameter.name: parameter.place for parameter in operation.parameters}
    for name, value in values.items():
        bare = _bare(name)
        place = documented.get(name) or documented.get(bare) or "query"
        if place in placed:
            placed[place][name if name in documented else bare] = value
    return placed
