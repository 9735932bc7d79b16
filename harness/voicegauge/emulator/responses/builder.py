"""The answers of one provider: its contract's examples, with what is true of this request laid over."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote as quote_url
from urllib.parse import urlencode, urlsplit

from voicegauge.contract import (
    MISSING,
    AudioInputTarget,
    Contract,
    Example,
    MediaType,
    Operation,
    Target,
    parse_location,
)
from voicegauge.contract.extension import JobSpec, ResponseAudio
from voicegauge.emulator.audio import Utterance
from voicegauge.emulator.http import Call, Incoming, Refusal, schemas_at, stamp
from voicegauge.emulator.responses.bodies import (
    Draft,
    best_draft,
    error_reply,
    get,
    known,
    localise,
    plain_draft,
    put,
    success_reply,
)
from voicegauge.emulator.responses.reply import Reply
from voicegauge.emulator.settings import CONTROL_PREFIX
from voicegauge.emulator.state import EmulatedJob, Made
from voicegauge.speech.audio import container_of_media_type, media_type_of

EXTENSIONS = {"pcm_s16le": "pcm", "mulaw": "ulaw"}
"""File endings that are not the format's own name."""


class Answers:
    """Makes the answers of one provider."""

    def __init__(self, contract: Contract) -> None:
        """Answers follow `contract`."""
        self._contract = contract

    def paths(self, path: str) -> Iterator[str]:
        """`path` as the contract may know it: whole, and without the path of one of its servers."""
        yield path
        for server in self._contract.servers.values():
            prefix = urlsplit(server.url).path.rstrip("/")
            if prefix and path.startswith(f"{prefix}/"):
                yield path[len(prefix) :]

    def localised(self, body: Any, base_url: str) -> Any:
        """`body` with the provider's own URLs led here."""
        return localise(body, {server.url: base_url for server in self._contract.servers.values()})

    def unrouted(self, incoming: Incoming, refusal: Refusal) -> Reply:
        """The answer to a path that is no operation, or not with this method."""
        operations = self._contract.operations.values()
        methods = sorted(
            {o.method for o in operations for path in self.paths(incoming.path) if o.match(path) is not None}
        )
        status = 405 if methods else 404
        reply = Reply("error", status, {"error": refusal.detail}, "application/json", situation="not-found")
        for operation in operations if not methods else ():
            found = error_reply(operation, refusal)
            if found.status == status and found.spec is not None and found.body:
                reply.body, reply.media_type = found.body, found.media_type
                break
        if methods:
            reply.headers["Allow"] = ", ".join(methods)
            reply.body = {"error": f"{incoming.method} is not allowed here"}
        return reply

    def other(
        self, operation: Operation, *, job: EmulatedJob | None = None, query: Mapping[str, Any] | None = None
    ) -> Reply:
        """The documented success of an operation that is neither speech nor a job's state.

        Lists are filtered by the parameters of `query` that are named like a field of their items.
        """
        reply = success_reply(operation, "other", plain_draft)
        reply.job = job
        if isinstance(reply.body, dict) and query:
            documented = {p.name for p in operation.parameters if p.place == "query"}
            _filter_lists(reply.body, {name: value for name, value in query.items() if name in documented})
        return reply

    def submitted(self, call: Call, job: EmulatedJob, *, balance: float | None) -> Reply:
        """A request taken on as a job."""
        operation, target = call.operation, job.target
        status = target.job_operation
        assert status is not None
        assert status.job is not None
        places = status.job.submit
        values: dict[str, Any] = {places.id: job.id}
        if places.state is not None:
            values[places.state] = job.state

        def draft(media: MediaType) -> Draft:
            return best_draft(media, lambda example: self._rank_submit(call, target, example, values), values)

        reply = success_reply(operation, "submit", draft)
        reply.target, reply.job, reply.call = target, job, call
        if places.url is not None:
            values[places.url] = self.status_url(call, status, job.id)
        answer = target.answer
        self.lay_constants(reply, job.constants)
        self._lay(reply, values)
        self._lay_money(reply, answer.charged, answer.balance, job.charge, balance)
        return reply

    def _rank_submit(
        self, call: Call, target: Target, example: Example, values: Mapping[str, Any]
    ) -> tuple[Any, ...] | None:
        """State first, then whether the example answers a request for the same target."""
        states = [get(example.value, place) in (MISSING, value) for place, value in list(values.items())[1:]]
        asked = call.media.examples if call.media is not None else ()
        request = next((e.value for e in asked if e.name == example.request), None)
        same = request is not None and all(get(request, place) == value for place, value in target.spec.set.items())
        return (*states, same)

    def state(self, call: Call, job: EmulatedJob) -> Reply:
        """The state a job is in."""
        operation = call.operation
        spec = operation.job
        assert spec is not None

        def draft(media: MediaType) -> Draft:
            seed = self._job_values(spec, job) | ({spec.state: job.state})
            return best_draft(media, lambda example: self._rank_state(spec, job, example), seed)

        reply = success_reply(operation, "status", draft)
        reply.target, reply.job, reply.call = job.target, job, call
        reply.body = localise(reply.body, dict.fromkeys(self._shown_ids(job.target, spec), job.id))
        self.lay_constants(reply, job.constants)
        self._lay(reply, {spec.state: job.state})
        self._lay(reply, self._job_values(spec, job), where=known)
        self._lay_times(reply, spec, job)
        if spec.charged is not None:
            self._lay_money(reply, spec.charged, None, 0.0 if job.refunded else job.charge, None)
        state = spec.states.get(job.state)
        if state is not None and state.end == "success" and spec.result is None:
            url = self.audio_url(call.incoming.base_url, spec.audio, job.id, job.utterance.format)
            self._lay_audio(reply, spec.audio, job.utterance.format, url, None)
        if state is not None and state.end == "failure" and spec.reason is not None:
            reason = get(reply.body, spec.reason)
            if reason in (MISSING, None, ""):
                self._lay(reply, {spec.reason: "the request could not be processed"})
        return reply

    def _shown_ids(self, target: Target, spec: JobSpec) -> set[str]:
        """The ids that the examples of a submit's answers print: where else they stand, an id is meant."""
        found = (
            get(example.value, spec.submit.id)
            for response in target.operation.responses.values()
            for media in response.media.values()
            for example in media.examples
        )
        return {shown for shown in found if isinstance(shown, str) and shown}

    def _job_values(self, spec: JobSpec, job: EmulatedJob) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if spec.id is not None:
            values[spec.id] = job.id
        if spec.model is not None and job.target.spec.model is not None:
            values[spec.model] = job.target.spec.model
        return {place: value for place, value in values.items() if place.startswith("body")}

    def _rank_state(self, spec: JobSpec, job: EmulatedJob, example: Example) -> tuple[Any, ...] | None:
        if get(example.value, spec.state) != job.state:
            return None
        model = spec.model is not None and get(example.value, spec.model) == job.target.spec.model
        shown = get(example.value, spec.id) if spec.id is not None else MISSING
        alike = 0
        if isinstance(shown, str):
            alike = next((i for i, (a, b) in enumerate(zip(shown, job.id, strict=False)) if a != b), len(shown))
        return (model, alike)

    def result(self, call: Call, job: EmulatedJob, data: bytes) -> Reply:
        """The result of a job that is fetched by a call of its own."""
        status = job.target.job_operation
        assert status is not None
        assert status.job is not None
        place = status.job.audio
        url = self.audio_url(call.incoming.base_url, place, job.id, job.utterance.format)
        reply = success_reply(call.operation, "result", plain_draft)
        reply.target, reply.job, reply.call = job.target, job, call
        self._lay_audio(reply, place, job.utterance.format, url, data)
        return reply

    def spoken(
        self,
        call: Call,
        target: Target,
        wanted: Utterance,
        data: bytes,
        url: str,
        *,
        charge: float | None,
        balance: float | None,
    ) -> Reply:
        """An answer that carries audio, or its URL, at once."""
        answer = target.answer
        assert answer.audio is not None
        reply = success_reply(call.operation, "speech", plain_draft)
        reply.target, reply.call = target, call
        self._lay_audio(reply, answer.audio, wanted.format, url, data)
        self._lay_money(reply, answer.charged, answer.balance, charge, balance)
        return reply

    def taken(
        self,
        call: Call,
        intake: AudioInputTarget,
        values: Mapping[str, Any],
        made: Made | None,
        url: str,
        charge: float | None,
    ) -> Reply:
        """The answer to audio that was taken in: `values` by place, and what was made, or its `url`."""
        reply = success_reply(call.operation, "taken", plain_draft)
        reply.call = call
        self._lay(reply, values)
        audio = intake.conversion.answer.audio if intake.conversion else None
        if audio is not None and made is not None:
            self._lay_audio(reply, audio, made.format, url, made.data)
        self._lay_money(reply, intake.use.answer.charged, None, charge, None)
        return reply

    def lay_constants(self, reply: Reply, constants: Mapping[str, Any]) -> None:
        """Write what always holds one value, where the body has its place."""
        self._lay(reply, constants, where=known)

    def as_download(self, reply: Reply, call: Call) -> None:
        """Make `reply`, which carries audio, the documented answer of a download operation."""
        reply.operation, reply.call = call.operation, call
        reply.spec = call.operation.success
        reply.media_type = _documented_type(reply.spec.media, reply.media_type or "")
        reply.media = reply.spec.media.get(reply.media_type)
        if reply.spec.status.isdecimal():
            reply.status = int(reply.spec.status)

    def status_url(self, call: Call, status: Operation, job_id: str) -> str:
        """The URL that asks for the state of a job."""
        path = status.path
        query: dict[str, str] = {}
        for parameter in status.parameters:
            if parameter.place == "path":
                value = call.path.get(parameter.name, job_id)
                path = path.replace(f"{{{parameter.name}}}", quote_url(str(value), safe=""))
            elif parameter.place == "query" and parameter.required and not query:
                query[parameter.name] = job_id
        return call.incoming.base_url + path + (f"?{urlencode(query)}" if query else "")

    def audio_url(self, base_url: str, place: ResponseAudio, media_id: str, format_name: str) -> str:
        """The URL of audio: the documented download, else one of the emulator's own."""
        ending = EXTENSIONS.get(format_name, format_name)
        if place.download is None:
            root = base_url.removesuffix(f"/{self._contract.id}")
            return f"{root}{CONTROL_PREFIX}/media/{self._contract.id}/{quote_url(media_id, safe='')}.{ending}"
        path = self._contract.operation(place.download).path
        names = [p.name for p in self._contract.operation(place.download).parameters if p.place == "path"]
        for index, name in enumerate(names):
            value = media_id if index == 0 else f"output.{ending}"
            path = path.replace(f"{{{name}}}", quote_url(value, safe=""))
        return base_url + path

    def _lay_audio(self, reply: Reply, place: ResponseAudio, name: str, url: str, data: bytes | None) -> None:
        declared = media_type_of(name)
        if place.delivered == "stream":
            reply.body = data or b""
            return
        if place.delivered == "bytes":
            reply.body, media = data or b"", reply.spec.media if reply.spec is not None else {}
            reply.media_type = _documented_type(media, declared)
            reply.media = media.get(reply.media_type)
            return
        value = url if place.delivered == "url" else base64.b64encode(data or b"").decode()
        self._lay(reply, {place.at: value})
        if place.media_type is not None and place.media_type not in reply_constants(reply):
            shown = get(reply.body, place.media_type)
            plain = isinstance(shown, str) and "/" not in shown
            self._lay(reply, {place.media_type: name if plain else declared})

    def _lay_money(
        self, reply: Reply, charged: str | None, balance: str | None, charge: float | None, left: float | None
    ) -> None:
        for place, amount in ((charged, charge), (balance, left)):
            if place is None or amount is None:
                continue
            if place.startswith("header."):
                reply.headers[parse_location(place).key] = f"{amount:g}" if amount < 1e6 else str(amount)
            else:
                self._lay(reply, {place: self._in_style(reply, place, amount)}, where=known)

    def _in_style(self, reply: Reply, place: str, amount: float) -> int | float:
        """A number as the schema has it: whole where it asks for whole numbers, or shows one."""
        assert reply.media is not None
        schemas = schemas_at(self._contract.schemas, reply.media.schema, parse_location(place).tokens)
        whole = any(schema.get("type") == "integer" for schema in schemas)
        if whole:
            return round(amount)
        shown = get(reply.body, place)
        exact = round(amount, 6)
        return int(exact) if isinstance(shown, int) and float(exact).is_integer() else exact

    def _lay_times(self, reply: Reply, spec: JobSpec, job: EmulatedJob) -> None:
        state = spec.states.get(job.state)
        ended = state is not None and state.end is not None
        carried = state.carries if state is not None else ()
        times = {spec.created: job.created, spec.updated: job.entered[-1]}
        if ended:
            times[spec.completed] = job.entered[-1]
        for place, at in times.items():
            if place is None or reply.media is None:
                continue
            shown = get(reply.body, place)
            if shown not in (MISSING, None) or place in carried:
                self._lay(reply, {place: stamp(at, self._style(reply.media, place, shown))})

    def _style(self, media: MediaType, place: str, shown: Any) -> Any:
        if shown not in (MISSING, None):
            return shown
        values = (get(example.value, place) for example in media.examples)
        return next((value for value in values if value not in (MISSING, None)), None)

    def _lay(self, reply: Reply, values: Mapping[str, Any], where: Any = None) -> None:
        """Write `values` at their places of the body; with `where`, only where that says a place is known."""
        for place, value in values.items():
            if not place.startswith("body") or not reply.is_json:
                continue
            if where is None or where(reply.media, reply.body, place):
                reply.body = put(reply.body, place, copy.deepcopy(value))


def _filter_lists(body: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    """Leave the items that have the `wanted` values, and correct a count that stands beside its list."""
    for name, items in list(body.items()):
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            continue
        left = [i for i in items if all(key not in i or i[key] == value for key, value in wanted.items())]
        body[name] = left
        for other, count in body.items():
            if count == len(items) and isinstance(count, int) and not isinstance(count, bool):
                body[other] = len(left)


def reply_constants(reply: Reply) -> Mapping[str, Any]:
    """The constants that the reply's target holds."""
    return reply.target.spec.emulation.constants if reply.target is not None else {}


def _documented_type(media: Mapping[str, MediaType], wanted: str) -> str:
    """The documented media type that means the same container as `wanted`."""
    if wanted in media or not media:
        return wanted
    container = container_of_media_type(wanted)
    for name in media:
        if container_of_media_type(name) == container:
            return name
    if "audio/*" in media or "*/*" in media:
        return wanted
    return "application/octet-stream" if "application/octet-stream" in media else wanted
