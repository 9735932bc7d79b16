"""What a rule looks at: a call, a job from its submit to its end, a delivery, an outcome.

Subjects are views: they read an exchange by the contract's words, parse each body
once, and never raise for what a provider sent.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from voicegauge.contract import MISSING, Contract, MediaType, Operation, ResponseSpec, Target, fit_text, parse_place
from voicegauge.contract.extension import AudioPlace, JobSpec
from voicegauge.contract.places import read_pointer
from voicegauge.contract.wire import UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.model import Delivery, Exchange, Record, Request, Sighting, SpeechRequest

if TYPE_CHECKING:
    from voicegauge.speech.audio import Decoded  # numpy

RequestOrigin = Literal["sent", "broken", "unknown"]
"""`broken`: made invalid on purpose. `unknown`: a document shows the answer alone."""


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
    def spec(self) -> ResponseSpec | None:
        """The documented response; `None` where the status is not documented."""
        return self.operation.response(self.status)

    @property
    def answer(self) -> Any:
        """The JSON value of the answer; `MISSING` where it is not to be read as JSON."""
        return self._read[0]

    @property
    def expects_json(self) -> bool:
        """Whether the answer calls itself JSON, or names no type where JSON alone is documented."""
        media_type = self.exchange.response.media_type
        if media_type:
            return is_json(media_type)
        return bool(self.spec and self.spec.media) and all(map(is_json, self.spec.media if self.spec else ()))

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
            if is_form(media_type):
                return self._form_value(request, media_type)
        except UnreadableBodyError:
            return MISSING
        return MISSING

    def _form_value(self, request: Request, media_type: str) -> dict[str, Any]:
        form = read_form(request.header("content-type") or "", request.body)
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

    def asked(self, place: str) -> Any:
        """The value at `place` of the request, or `MISSING`."""
        where = parse_place(place)
        if where.kind == "body":
            return read_pointer(self.request_value, where.tokens)
        if where.kind == "path":
            return self.path_parameters.get(where.key, MISSING)
        if where.kind == "query":
            query = dict(parse_qsl(urlsplit(self.exchange.request.url).query, keep_blank_values=True))
            return query.get(where.key, MISSING)
        value = self.exchange.request.header(where.key)
        return MISSING if value is None else value

    def answered(self, place: str | None) -> Any:
        """The value at `place` of the answer, or `MISSING`."""
        if place is None:
            return MISSING
        where = parse_place(place)
        if where.kind == "body":
            return read_pointer(self.answer, where.tokens)
        if where.kind == "header":
            value = self.exchange.response.header(where.key)
            return MISSING if value is None else value
        return MISSING

    @property
    def around(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about this call may stand at."""
        places = [f"{self.operation.pointer}/responses/{self.status}"]
        if self.spec is not None:
            places += [self.spec.pointer, f"{self.operation.pointer}/responses/{self.spec.status}"]
        if self.target is not None:
            places.append(self.target.pointer)
        return (*places, f"{self.operation.pointer}/requestBody", self.operation.pointer)


def request_media_type(request: Request) -> str:
    """The content type of a request without its parameters, in lower case."""
    return (request.header("content-type") or "").split(";")[0].strip().lower()


@dataclass(frozen=True, eq=False)
class Trail:
    """A job from its submit on: every state it was seen in, asked again after its end too."""

    submit: Call
    polls: tuple[Call, ...]
    status_operation: Operation
    gave_up: bool = False
    """No terminal state was seen in the time that the contract gives."""
    sightings: tuple[Sighting, ...] = ()
    """When each state was seen, where somebody looked at a clock."""

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.submit.contract

    @property
    def operation(self) -> Operation:
        """The status operation."""
        return self.status_operation

    @property
    def spec(self) -> JobSpec:
        """What the contract says of the job."""
        assert self.status_operation.job is not None, "a trail is made for a status operation"
        return self.status_operation.job

    @property
    def target(self) -> Target | None:
        """What was asked for."""
        return self.submit.target

    @property
    def exchange(self) -> Exchange:
        """The last exchange."""
        return self.polls[-1].exchange if self.polls else self.submit.exchange

    @property
    def around(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about this job may stand at."""
        return (f"{self.status_operation.pointer}/x-job", *self.submit.around)


@dataclass(frozen=True, eq=False)
class Jobs:
    """Several jobs on one account, each as far as it was seen."""

    trails: tuple[Trail, ...]
    latest: Trail
    """The one that was asked for last."""

    @property
    def contract(self) -> Contract:
        """The contract they are judged by."""
        return self.latest.contract

    @property
    def operation(self) -> Operation:
        """The status operation."""
        return self.latest.operation

    @property
    def target(self) -> Target | None:
        """What was asked for."""
        return self.latest.target

    @property
    def exchange(self) -> Exchange:
        """The last exchange about the latest."""
        return self.latest.exchange

    @property
    def around(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about these jobs may stand at."""
        return self.latest.around


@dataclass(frozen=True, eq=False)
class Delivered:
    """What was delivered for a request for speech."""

    target: Target
    speech: SpeechRequest
    delivery: Delivery
    done: bool = True
    """The provider says that it is: a job ended in success, or the answer was 2xx."""

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.target.contract

    @property
    def operation(self) -> Operation:
        """The operation that was asked for speech."""
        return self.target.operation

    @property
    def exchange(self) -> Exchange:
        """The exchange that carried the audio, else the last one."""
        index = self.delivery.audio_exchange
        return self.delivery.exchanges[-1 if index is None else index]

    @property
    def place(self) -> AudioPlace | None:
        """How the contract says that the audio is delivered."""
        status = self.target.job_operation
        return status.job.audio if status and status.job else self.target.answer.audio

    @functools.cached_property
    def _decoding(self) -> tuple[Decoded | None, str | None]:
        from voicegauge.speech.audio import RawAudio, UndecodableAudioError, decode

        place = self.place
        raw = None
        if place is not None and place.format is not None and place.sample_rate_hz is not None:
            raw = RawAudio(format=place.format, sample_rate_hz=place.sample_rate_hz, channels=place.channels)
        if self.delivery.audio is None:
            return None, None
        try:
            return decode(self.delivery.audio, declared=raw), None
        except UndecodableAudioError as error:
            return None, str(error)

    @property
    def decoded(self) -> Decoded | None:
        """The samples; `None` where they cannot be had."""
        return self._decoding[0]

    @property
    def decode_error(self) -> str | None:
        """Why the audio cannot be decoded; `None` where it can."""
        return self._decoding[1]

    @property
    def around(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about the audio may stand at."""
        job = self.target.job_operation
        places = (f"{self.operation.pointer}/x-speech/answer", self.target.pointer, self.operation.pointer)
        return (*places, f"{job.pointer}/x-job/audio") if job else places


@dataclass(frozen=True, eq=False)
class Callback:
    """What a provider sends to a URL of the user's, as it is documented."""

    media: MediaType
    """The documented body of the callback."""
    exchange: Exchange
    operation: Operation
    """An operation that leads to it; any of the contract's for a webhook that stands alone."""
    target: Target | None = None

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.media.contract

    @property
    def around(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about it may stand at."""
        return (self.media.pointer,)


@dataclass(frozen=True, eq=False)
class Aged:
    """A recording, by the oldest exchange in it."""

    operation: Operation
    exchange: Exchange
    name: str
    """Of its file."""
    age_days: float
    target: Target | None = None

    @property
    def contract(self) -> Contract:
        """The contract it is judged by."""
        return self.operation.contract

    @property
    def around(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about it may stand at."""
        return ()


class Expected(Record, frozen=True, kw_only=True):
    """What a planned case should be answered with."""

    verdict: Literal["accepted", "refused", "either"]
    """`either`: no document says; a service that fails is wrong all the same."""
    statuses: tuple[int, ...] = ()
    """The documented statuses that would be right; empty for any of the verdict's kind."""
    why: Literal["valid", "invalid", "key", "unknown", "situation", "unsaid"]
    """What the case is about: `key` a missing or bad one, `unknown` an id nobody gave out,
    `unsaid` what no document speaks of."""
    says: str
    """In words, what is special about the request."""
    at: str
    """JSON pointer into the contract, at the statement that the case tests."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was expected of a planned case, and what came."""

    call: Call
    expected: Expected

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
        """The exchange of the case."""
        return self.call.exchange

    @property
    def around(self) -> tuple[str, ...]:
        """Parts of the contract that a dispute about this case may stand at."""
        return self.call.around


Subject = Aged | Call | Callback | Trail | Jobs | Delivered | Outcome
