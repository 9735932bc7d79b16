"""Successful responses of a provider: documented examples filled with the values of the request."""

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
)
from voicegauge.contract.extension import JobSpec, ResponseAudio
from voicegauge.emulator.audio import SynthesisRequest
from voicegauge.emulator.http import (
    IncomingRequest,
    ParsedRequest,
    Rejection,
    format_timestamp,
    has_location,
    read_at,
    schemas_at,
    write_at,
)
from voicegauge.emulator.responses.bodies import (
    BodyTemplate,
    default_body,
    error_response,
    replace_url_prefixes,
    select_body,
    success_response,
)
from voicegauge.emulator.responses.response import EmulatedResponse
from voicegauge.emulator.settings import CONTROL_PREFIX
from voicegauge.emulator.state import EmulatedJob, GeneratedAudio
from voicegauge.formats import Location
from voicegauge.speech.audio import container_of_media_type, media_type_of

EXTENSIONS = {"pcm_s16le": "pcm", "mulaw": "ulaw"}
"""File name extensions of formats that differ from the format name."""


class ResponseBuilder:
    """Builds the responses of one provider from its contract."""

    def __init__(self, contract: Contract) -> None:
        """Build responses by `contract`."""
        self._contract = contract

    def path_candidates(self, path: str) -> Iterator[str]:
        """Yield the paths to look up in the contract: `path` itself, and without the path prefix of each server."""
        yield path
        for server in self._contract.servers.values():
            prefix = urlsplit(server.url).path.rstrip("/")
            if prefix and path.startswith(f"{prefix}/"):
                yield path[len(prefix) :]

    def with_local_urls(self, body: Any, base_url: str) -> Any:
        """Return `body` with URLs of the provider's servers replaced by the emulator's."""
        return replace_url_prefixes(body, {server.url: base_url for server in self._contract.servers.values()})

    def unrouted_response(self, incoming: IncomingRequest, rejection: Rejection) -> EmulatedResponse:
        """Return the error for a path or method that no operation has."""
        operations = self._contract.operations.values()
        methods = sorted(
            {o.method for o in operations for path in self.path_candidates(incoming.path) if o.match(path) is not None}
        )
        status = 405 if methods else 404
        response = EmulatedResponse(
            "error", status, {"error": rejection.detail}, "application/json", rejection_reason="not-found"
        )
        for operation in operations if not methods else ():
            found = error_response(operation, rejection)
            if found.status == status and found.spec is not None and found.body:
                response.body, response.media_type = found.body, found.media_type
                break
        if methods:
            response.headers["Allow"] = ", ".join(methods)
            response.body = {"error": f"{incoming.method} is not allowed here"}
        return response

    def documented_response(
        self, operation: Operation, *, job: EmulatedJob | None = None, query: Mapping[str, Any] | None = None
    ) -> EmulatedResponse:
        """Return the documented success of an operation that needs no values of the request.

        Lists are filtered by query parameters that are named like a field of the list's items.
        """
        response = success_response(operation, "other", default_body)
        response.job = job
        if isinstance(response.body, dict) and query:
            documented = {p.name for p in operation.parameters if p.location == "query"}
            _filter_lists(response.body, {name: value for name, value in query.items() if name in documented})
        return response

    def submit_response(self, request: ParsedRequest, job: EmulatedJob, *, balance: float | None) -> EmulatedResponse:
        """Return the response that accepts a job."""
        operation, target = request.operation, job.target
        status = target.job_operation
        assert status is not None
        assert status.job is not None
        locations = status.job.submit
        values: dict[Location, Any] = {locations.id: job.id}
        if locations.state is not None:
            values[locations.state] = job.state

        def draft(media: MediaType) -> BodyTemplate:
            return select_body(media, lambda example: self._rank_submit(request, target, example, values), values)

        response = success_response(operation, "submit", draft)
        response.target, response.job, response.request = target, job, request
        if locations.url is not None:
            values[locations.url] = self.status_url(request, status, job.id)
        answer = target.response
        self.write_constants(response, job.constants)
        self._write(response, values)
        self._write_amounts(response, answer.charged, answer.balance, job.charge, balance)
        return response

    def _rank_submit(
        self, request: ParsedRequest, target: Target, example: Example, values: Mapping[Location, Any]
    ) -> tuple[Any, ...] | None:
        """Rank examples by matching state, then by belonging to a request example for the same target."""
        states = [read_at(example.value, location) in (MISSING, value) for location, value in list(values.items())[1:]]
        documented = request.media.examples if request.media is not None else ()
        example_request = next((e.value for e in documented if e.name == example.request), None)
        same = example_request is not None and all(
            read_at(example_request, location) == value for location, value in target.spec.constants.items()
        )
        return (*states, same)

    def status_response(self, request: ParsedRequest, job: EmulatedJob) -> EmulatedResponse:
        """Return the status response for a job in its current state."""
        operation = request.operation
        spec = operation.job
        assert spec is not None

        def draft(media: MediaType) -> BodyTemplate:
            seed = self._job_values(spec, job) | ({spec.state: job.state})
            return select_body(media, lambda example: self._rank_state(spec, job, example), seed)

        response = success_response(operation, "status", draft)
        response.target, response.job, response.request = job.target, job, request
        response.body = replace_url_prefixes(response.body, dict.fromkeys(self._shown_ids(job.target, spec), job.id))
        self.write_constants(response, job.constants)
        self._write(response, {spec.state: job.state})
        self._write(response, self._job_values(spec, job), where=has_location)
        self._write_times(response, spec, job)
        if spec.charged is not None:
            self._write_amounts(response, spec.charged, None, 0.0 if job.refunded else job.charge, None)
        state = spec.states.get(job.state)
        if state is not None and state.end == "success" and spec.result is None:
            url = self.audio_url(request.incoming.base_url, spec.audio, job.id, job.synthesis.format)
            self._write_audio(response, spec.audio, job.synthesis.format, url, None)
        if state is not None and state.end == "failure" and spec.reason is not None:
            reason = read_at(response.body, spec.reason)
            if reason in (MISSING, None, ""):
                self._write(response, {spec.reason: "the request could not be processed"})
        return response

    def _shown_ids(self, target: Target, spec: JobSpec) -> set[str]:
        """Return the job ids printed in submit examples; wherever else they occur, the id of the job is meant."""
        found = (
            read_at(example.value, spec.submit.id)
            for response in target.operation.responses.values()
            for media in response.media.values()
            for example in media.examples
        )
        return {shown for shown in found if isinstance(shown, str) and shown}

    def _job_values(self, spec: JobSpec, job: EmulatedJob) -> dict[Location, Any]:
        values: dict[Location, Any] = {}
        if spec.id is not None:
            values[spec.id] = job.id
        if spec.model is not None and job.target.spec.model is not None:
            values[spec.model] = job.target.spec.model
        return {location: value for location, value in values.items() if location.in_body}

    def _rank_state(self, spec: JobSpec, job: EmulatedJob, example: Example) -> tuple[Any, ...] | None:
        if read_at(example.value, spec.state) != job.state:
            return None
        model = spec.model is not None and read_at(example.value, spec.model) == job.target.spec.model
        shown = read_at(example.value, spec.id) if spec.id is not None else MISSING
        alike = 0
        if isinstance(shown, str):
            alike = next((i for i, (a, b) in enumerate(zip(shown, job.id, strict=False)) if a != b), len(shown))
        return (model, alike)

    def result_response(self, request: ParsedRequest, job: EmulatedJob, data: bytes) -> EmulatedResponse:
        """Return the response of a separate result operation."""
        status = job.target.job_operation
        assert status is not None
        assert status.job is not None
        location = status.job.audio
        url = self.audio_url(request.incoming.base_url, location, job.id, job.synthesis.format)
        response = success_response(request.operation, "result", default_body)
        response.target, response.job, response.request = job.target, job, request
        self._write_audio(response, location, job.synthesis.format, url, data)
        return response

    def speech_response(
        self,
        request: ParsedRequest,
        target: Target,
        synthesis: SynthesisRequest,
        data: bytes,
        url: str,
        *,
        charge: float | None,
        balance: float | None,
    ) -> EmulatedResponse:
        """Return the response of an operation that delivers speech without a job."""
        answer = target.response
        assert answer.audio is not None
        response = success_response(request.operation, "speech", default_body)
        response.target, response.request = target, request
        self._write_audio(response, answer.audio, synthesis.format, url, data)
        self._write_amounts(response, answer.charged, answer.balance, charge, balance)
        return response

    def audio_input_response(
        self,
        request: ParsedRequest,
        intake: AudioInputTarget,
        values: Mapping[Location, Any],
        generated: GeneratedAudio | None,
        url: str,
        charge: float | None,
    ) -> EmulatedResponse:
        """Return the response to uploaded audio.

        Args:
            request: the request.
            intake: the target that processed it.
            values: response values by location.
            generated: audio of the response, if it has any.
            url: URL of that audio, for responses that link to it.
            charge: amount charged.
        """
        response = success_response(request.operation, "audio-input", default_body)
        response.request = request
        self._write(response, values)
        audio = intake.conversion.response.audio if intake.conversion else None
        if audio is not None and generated is not None:
            self._write_audio(response, audio, generated.format, url, generated.data)
        self._write_amounts(response, intake.audio_input.response.charged, None, charge, None)
        return response

    def write_constants(self, response: EmulatedResponse, constants: Mapping[Location, Any]) -> None:
        """Write the fixed values of a target, where the body or its schema has their location."""
        self._write(response, constants, where=has_location)

    def mark_as_download(self, response: EmulatedResponse, request: ParsedRequest) -> None:
        """Turn `response`, which carries audio, into the documented response of a download operation."""
        response.operation, response.request = request.operation, request
        response.spec = request.operation.success
        response.media_type = _documented_type(response.spec.media, response.media_type or "")
        response.media = response.spec.media.get(response.media_type)
        if response.spec.status.isdecimal():
            response.status = int(response.spec.status)

    def status_url(self, request: ParsedRequest, status: Operation, job_id: str) -> str:
        """Return the polling URL of a job."""
        path = status.path
        query: dict[str, str] = {}
        for parameter in status.parameters:
            if parameter.location == "path":
                value = request.path.get(parameter.name, job_id)
                path = path.replace(f"{{{parameter.name}}}", quote_url(str(value), safe=""))
            elif parameter.location == "query" and parameter.required and not query:
                query[parameter.name] = job_id
        return request.incoming.base_url + path + (f"?{urlencode(query)}" if query else "")

    def audio_url(self, base_url: str, location: ResponseAudio, media_id: str, format_name: str) -> str:
        """Return the URL of audio: of the documented download operation, or else a route of the emulator."""
        ending = EXTENSIONS.get(format_name, format_name)
        if location.download is None:
            root = base_url.removesuffix(f"/{self._contract.id}")
            return f"{root}{CONTROL_PREFIX}/media/{self._contract.id}/{quote_url(media_id, safe='')}.{ending}"
        path = self._contract.operation(location.download).path
        names = [p.name for p in self._contract.operation(location.download).parameters if p.location == "path"]
        for index, name in enumerate(names):
            value = media_id if index == 0 else f"output.{ending}"
            path = path.replace(f"{{{name}}}", quote_url(value, safe=""))
        return base_url + path

    def _write_audio(
        self, response: EmulatedResponse, location: ResponseAudio, name: str, url: str, data: bytes | None
    ) -> None:
        declared = media_type_of(name)
        if location.delivered == "stream":
            response.body = data or b""
            return
        if location.delivered == "bytes":
            response.body, media = data or b"", response.spec.media if response.spec is not None else {}
            response.media_type = _documented_type(media, declared)
            response.media = media.get(response.media_type)
            return
        value = url if location.delivered == "url" else base64.b64encode(data or b"").decode()
        self._write(response, {location.at: value})
        if location.media_type is not None and location.media_type not in _target_constants(response):
            shown = read_at(response.body, location.media_type)
            plain = isinstance(shown, str) and "/" not in shown
            self._write(response, {location.media_type: name if plain else declared})

    def _write_amounts(
        self,
        response: EmulatedResponse,
        charged: Location | None,
        balance: Location | None,
        charge: float | None,
        remaining: float | None,
    ) -> None:
        for location, amount in ((charged, charge), (balance, remaining)):
            if location is None or amount is None:
                continue
            if location.kind == "header":
                response.headers[location.name] = f"{amount:g}" if amount < 1e6 else str(amount)
            else:
                self._write(
                    response, {location: self._round_like_documented(response, location, amount)}, where=has_location
                )

    def _round_like_documented(self, response: EmulatedResponse, location: Location, amount: float) -> int | float:
        """Return `amount` as an integer if the schema requires or the example shows one, else rounded to 6 digits."""
        assert response.media is not None
        schemas = schemas_at(self._contract.schemas, response.media.schema, location.tokens)
        whole = any(schema.get("type") == "integer" for schema in schemas)
        if whole:
            return round(amount)
        shown = read_at(response.body, location)
        exact = round(amount, 6)
        return int(exact) if isinstance(shown, int) and float(exact).is_integer() else exact

    def _write_times(self, response: EmulatedResponse, spec: JobSpec, job: EmulatedJob) -> None:
        state = spec.states.get(job.state)
        ended = state is not None and state.end is not None
        carried = state.required if state is not None else ()
        times = {spec.created: job.created, spec.updated: job.entered_at[-1]}
        if ended:
            times[spec.completed] = job.entered_at[-1]
        for location, at in times.items():
            if location is None or response.media is None:
                continue
            shown = read_at(response.body, location)
            if shown not in (MISSING, None) or location in carried:
                self._write(
                    response, {location: format_timestamp(at, self._timestamp_example(response.media, location, shown))}
                )

    def _timestamp_example(self, media: MediaType, location: Location, shown: Any) -> Any:
        """Return the value whose timestamp format to copy: of the body, or else of any example."""
        if shown not in (MISSING, None):
            return shown
        values = (read_at(example.value, location) for example in media.examples)
        return next((value for value in values if value not in (MISSING, None)), None)

    def _write(self, response: EmulatedResponse, values: Mapping[Location, Any], where: Any = None) -> None:
        """Write `values` into the body at their locations; `where` can restrict this to locations that it accepts."""
        for location, value in values.items():
            if not location.in_body or not response.is_json:
                continue
            if where is None or where(response.media, response.body, location):
                response.body = write_at(response.body, location, copy.deepcopy(value))


def _filter_lists(body: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    """Keep the items that have the `wanted` values, and update counts equal to the length of the list."""
    for name, items in list(body.items()):
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            continue
        left = [i for i in items if all(key not in i or i[key] == value for key, value in wanted.items())]
        body[name] = left
        for other, count in body.items():
            if count == len(items) and isinstance(count, int) and not isinstance(count, bool):
                body[other] = len(left)


def _target_constants(response: EmulatedResponse) -> Mapping[Location, Any]:
    """Return the fixed values of the response's target."""
    return response.target.spec.emulation.constants if response.target is not None else {}


def _documented_type(media: Mapping[str, MediaType], actual: str) -> str:
    """Return the documented media type for the same container as `actual`, or `actual` itself."""
    if actual in media or not media:
        return actual
    container = container_of_media_type(actual)
    for name in media:
        if container_of_media_type(name) == container:
            return name
    if "audio/*" in media or "*/*" in media:
        return actual
    return "application/octet-stream" if "application/octet-stream" in media else actual
