"""Answers the requests and WebSockets of one provider: authentication, limits, validation, then the endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from voicegauge.contract.extension.provider import STATUS_CODES_BY_REASON
from voicegauge.contract.extension.speech import TranscriptionSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.socket_messages import SocketChannel
from voicegauge.contract.socket_turns import find_handshake_violation
from voicegauge.emulator._audio_input_endpoint import AudioInputEndpoint, check_audio_uploads, contains_audio_input
from voicegauge.emulator._endpoint_context import EndpointContext, list_setting_locations
from voicegauge.emulator._error_responses import build_error_response, build_undocumented_operation_response
from voicegauge.emulator._job_endpoints import (
    BatchEndpoint,
    ChatEndpoint,
    JobEndpoint,
    JobSubmissionEndpoint,
    find_job_operation_roles,
)
from voicegauge.emulator._output import EmulatedResponse, add_documented_headers
from voicegauge.emulator._provider_state import BoundedDict, EmulatedAccount
from voicegauge.emulator._request import (
    IncomingRequest,
    ParsedRequest,
    Rejection,
    iterate_uploaded_files,
    parse_request,
)
from voicegauge.emulator._resource_endpoints import StoredResource, find_resource_operation_roles, select_page
from voicegauge.emulator._socket_connection import EmulatedSpeechConnection
from voicegauge.emulator._speech_endpoint import SpeechEndpoint
from voicegauge.emulator._transcription import EmulatedTranscriptionConnection
from voicegauge.emulator._webhooks import WebhookNotifier
from voicegauge.emulator.process import SCENARIO_HEADER, SERVER_HEADER_VALUE
from voicegauge.formats.locations import Location
from voicegauge.model.exchange import SOCKET_ABORT_EXTENSION_KEY

MAX_OPEN_SOCKETS = 1000
"""Maximum number of open WebSockets of one provider."""


class SocketEndpoint:
    """The WebSockets of one provider."""

    def __init__(self, context: EndpointContext) -> None:
        """Serve the channels of the contract in `context`."""
        self._context = context
        self._open_socket_count = 0

    async def serve(self, request: IncomingRequest, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one handshake, and the messages after it."""
        await receive()  # websocket.connect
        if self._open_socket_count >= MAX_OPEN_SOCKETS:
            await reject_handshake(send, HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
            return
        self._open_socket_count += 1
        try:
            await self._accept_or_reject(request, scope, receive, send)
        finally:
            self._open_socket_count -= 1

    async def _accept_or_reject(self, request: IncomingRequest, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find_channel(request.path)
        if found is None:
            paths = ", ".join(one.path for one in self._context.contract.socket_operations.values()) or "none"
            await self._reject_and_report_handshake(
                send, HTTPStatus.NOT_FOUND, request.path, f"no such path; paths of WebSockets: {paths}"
            )
            return
        operation, path_values = found
        ignores_key = any(
            fault.ignores_key
            for target in operation.socket_targets
            for fault in self._context.fault_injector.list_socket_faults(target)
        )
        try:
            self._context.accounts.identify_account(
                request, operation, self._context.clock.now(), is_key_enforced=not ignores_key
            )
        except Rejection as rejection:
            await self._reject_and_report_handshake(send, HTTPStatus.UNAUTHORIZED, operation.id, rejection.detail)
            return
        violation = find_handshake_violation(operation, request.query, request.find_header)
        if violation is not None:
            await self._reject_and_report_handshake(send, HTTPStatus.BAD_REQUEST, operation.id, violation)
            return
        assert operation.socket is not None
        values = _read_handshake_values(operation.socket, request, path_values)
        # No contract names subprotocols: the one that the client prefers is accepted.
        protocols = scope.get("subprotocols") or []
        accept: dict[str, Any] = {
            "type": "websocket.accept",
            "headers": [(b"server", SERVER_HEADER_VALUE.encode())],
            "subprotocol": protocols[0] if protocols else None,
        }
        await send(accept)
        if operation.socket.spec.transcribes:
            await EmulatedTranscriptionConnection(operation, values, self._context, receive, send).run()
            return
        abort: Callable[[], None] = scope.get("extensions", {}).get(SOCKET_ABORT_EXTENSION_KEY, lambda: None)
        await EmulatedSpeechConnection(operation, values, self._context, receive, send, abort_connection=abort).run()

    async def _reject_and_report_handshake(
        self, send: Callable[[Any], Awaitable[None]], status: HTTPStatus, operation: str, reason: str
    ) -> None:
        """Answer a handshake with a status other than 101, and report what the client did wrong."""
        self._context.client_findings.add_rejected_handshake(self._context.contract.id, operation, reason)
        await reject_handshake(send, status, reason)

    def _find_channel(self, path: str) -> tuple[Operation, dict[str, str]] | None:
        for operation in self._context.contract.socket_operations.values():
            match = operation.match_path_end(path)
            if match is not None:
                return operation, match.path_parameters
        return None


def _read_handshake_values(
    channel: SocketChannel, request: IncomingRequest, path_values: Mapping[str, str]
) -> dict[Location, Any]:
    """Return the values in a handshake, by location, that state a voice, a language, a model or a format."""
    values: dict[Location, Any] = {}
    for location in list_setting_locations(channel.spec):
        if location.message_part == "query":
            found: Any = request.query.get(location.name)
        elif location.message_part == "path":
            found = path_values.get(location.name)
        else:
            found = request.find_header(location.name) if location.message_part == "header" else None
        if found is not None:
            values[location] = found
    return values


async def reject_handshake(send: Callable[[Any], Awaitable[None]], status: int, reason: str) -> None:
    """Answer a handshake with `status`, an HTTP status other than 101, and with `reason` as a JSON error."""
    headers = [(b"content-type", b"application/json"), (b"server", SERVER_HEADER_VALUE.encode())]
    await send({"type": "websocket.http.response.start", "status": int(status), "headers": headers})
    body = json.dumps({"error": reason}).encode()
    await send({"type": "websocket.http.response.body", "body": body})


# Remembers responses by the idempotency key of their request, so that a repeated request is performed once.


MAX_REMEMBERED_RESPONSES = 1_000
"""Maximum number of remembered responses; older ones are forgotten, so that memory stays bounded."""

_AccountOperationAndKey = tuple[str, str, str]
"""The name of the account, the id of the operation and the idempotency key of a request."""


class IdempotentResponses:
    """The accepted responses of one provider to requests with an idempotency key (`x-idempotency`)."""

    def __init__(self) -> None:
        """Create a store without responses."""
        self._responses = BoundedDict[_AccountOperationAndKey, tuple[float, EmulatedResponse]](MAX_REMEMBERED_RESPONSES)

    def find_response(
        self, request: IncomingRequest, operation: Operation, account: EmulatedAccount, now_s: float
    ) -> EmulatedResponse | None:
        """Return a copy of the response to an earlier request with the same key.

        Return `None` if there is none, if the key has expired, or if the request has no key.
        """
        key = _find_account_operation_and_key(request, operation, account)
        saved_at, response = self._responses.get(key, (math.inf, None)) if key is not None else (math.inf, None)
        valid_s = operation.idempotency.key_lifetime_s if operation.idempotency is not None else None
        if response is None or now_s - saved_at >= (valid_s or math.inf):
            return None
        return _copy_response(response)

    def save_response(
        self,
        request: IncomingRequest,
        operation: Operation,
        account: EmulatedAccount,
        now_s: float,
        response: EmulatedResponse,
    ) -> None:
        """Remember a response, if its status is 2XX and the request has an idempotency key."""
        key = _find_account_operation_and_key(request, operation, account)
        if key is None or not 200 <= response.status < 300:
            return
        self._responses[key] = (now_s, _copy_response(response))


def _find_account_operation_and_key(
    request: IncomingRequest, operation: Operation, account: EmulatedAccount
) -> _AccountOperationAndKey | None:
    value = request.find_header(operation.idempotency.header_name) if operation.idempotency is not None else None
    return (account.name, operation.id, value) if value else None


def _copy_response(response: EmulatedResponse) -> EmulatedResponse:
    """Return a copy whose body and headers can be changed. The copy refers to the same job as `response`."""
    return dataclasses.replace(response, body=copy.deepcopy(response.body), headers=dict(response.headers))


# Emulates one provider: routes and authenticates requests, and dispatches them to the endpoints.


class EmulatedProvider:
    """Responds to the requests to one provider."""

    def __init__(self, context: EndpointContext) -> None:
        """Respond from the state in `context`. To reset a provider, create a new one with a new context."""
        self.context = context
        self._fault_injector, self._clock = context.fault_injector, context.clock
        self._request_counts: Counter[str] = Counter()
        self._idempotent_responses = IdempotentResponses()
        self._speech_endpoint = SpeechEndpoint(context)
        self._batch_endpoint = BatchEndpoint(context, self._speech_endpoint)
        self._chat_endpoint = ChatEndpoint(context)
        self._job_submission_endpoint = JobSubmissionEndpoint(context)
        self._job_endpoint = JobEndpoint(context, self._batch_endpoint)
        self._audio_input_endpoint = AudioInputEndpoint(context)
        self.sockets = SocketEndpoint(context)
        self.webhooks = WebhookNotifier(context)

    async def respond(self, incoming_request: IncomingRequest) -> EmulatedResponse:
        """Return the response to a request, with faults applied."""
        access_tokens = self.context.accounts.access_tokens
        if access_tokens.responds_to(incoming_request):
            status, body = access_tokens.respond(incoming_request, self._clock.now())
            return EmulatedResponse("other" if status == HTTPStatus.OK else "error", status, body, "application/json")
        paths = list(self.context.response_builder.iterate_candidate_paths(incoming_request.path))
        match = self._match_operation(incoming_request.method, paths)
        if match is None:
            return build_undocumented_operation_response(self.context.contract, incoming_request.method, paths)
        operation, path = match
        account: EmulatedAccount | None = None
        is_repeated = False
        try:
            account = self._authenticate(incoming_request, operation)
            if not self._job_endpoint.responds_to(operation):  # polls and downloads do not count against the rate limit
                self.context.accounts.count_request(account, operation, self._clock.now())
            # Before the first await, so that concurrent requests count:
            with self._count_concurrent_request(account, operation):
                is_repeated, response = await self._perform_request_unless_repeated(
                    incoming_request, operation, path, account
                )
        except Rejection as rejection:
            response = build_error_response(operation, rejection)
        if response.is_body_text_or_json:
            response.body = self.context.response_builder.replace_server_urls(response.body, incoming_request.base_url)
        add_documented_headers(
            response, self.context.accounts.compute_rate_limit_values(account, operation, self._clock.now())
        )
        await self._clock.sleep(self._fault_injector.sum_fault_delays_s(operation, response.target))
        if not is_repeated:
            await self.webhooks.subscribe_if_requested(response)
        # After the webhooks: faults of responses must not change what callbacks report.
        self._fault_injector.change_response(response)
        if response.split_into_pieces is not None:
            pieces = response.split_into_pieces(response.body)
            for piece in pieces:
                piece.event_data = self.context.response_builder.replace_server_urls(
                    piece.event_data, incoming_request.base_url
                )
            response.stream_pieces = self._fault_injector.change_stream_pieces(response, pieces)
        return response

    @contextlib.contextmanager
    def _count_concurrent_request(self, account: EmulatedAccount, operation: Operation) -> Iterator[None]:
        """Count a speech or audio input request toward the limit of concurrent requests while the block runs."""
        # Plans limit what takes computing; lists and settings of an account are not counted.
        is_counted = operation.speech is not None or operation.audio_input is not None
        account.requests_in_flight_count += is_counted
        try:
            yield
        finally:
            account.requests_in_flight_count -= is_counted

    def _match_operation(self, method: str, paths: Iterable[str]) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation of a request and its path parameters; `None` if no operation has one of the paths."""
        for path in paths:
            match = self.context.contract.match_operation(method, path)
            if match is not None:
                return match[0], {name: unquote(value) for name, value in match[1].items()}
        return None

    def _authenticate(self, incoming_request: IncomingRequest, operation: Operation) -> EmulatedAccount:
        """Return the account of a request.

        Raises:
            Rejection: the key is missing or rejected, or the scenario header asks for a rejection.
        """
        # First, so that a test with a valid key can ask for the error about an invalid one.
        scenario = (incoming_request.find_header(SCENARIO_HEADER) or "").strip()
        reason, _, field = scenario.partition(":")
        if reason in STATUS_CODES_BY_REASON:
            raise Rejection(reason, field or None, f"requested by {SCENARIO_HEADER}", is_requested=True)
        is_enforced = not self._fault_injector.is_check_skipped("key", operation)
        return self.context.accounts.identify_account(
            incoming_request, operation, self._clock.now(), is_key_enforced=is_enforced
        )

    async def _perform_request_unless_repeated(
        self,
        incoming_request: IncomingRequest,
        operation: Operation,
        path_parameters: Mapping[str, str],
        account: EmulatedAccount,
    ) -> tuple[bool, EmulatedResponse]:
        """Perform the request, unless it repeats an earlier one with the same idempotency key.

        Returns:
            Whether the request is a repetition, and the response; for a repetition, that to the first request.
        """
        now = self._clock.now()
        earlier = self._idempotent_responses.find_response(incoming_request, operation, account, now)
        if earlier is not None:
            return True, earlier
        response = await self._check_and_perform_request(incoming_request, operation, path_parameters, account)
        self._idempotent_responses.save_response(incoming_request, operation, account, now, response)
        return False, response

    async def _check_and_perform_request(
        self,
        incoming_request: IncomingRequest,
        operation: Operation,
        path_parameters: Mapping[str, str],
        account: EmulatedAccount,
    ) -> EmulatedResponse:
        request = parse_request(
            incoming_request,
            operation,
            path_parameters,
            rejects_unsupported_values=not self._fault_injector.is_check_skipped("request", operation),
            ignored_keywords=("maxItems",) if self._fault_injector.is_check_skipped("items", operation) else (),
        )
        self._request_counts[operation.id] += 1
        reason = self._fault_injector.find_rejection_reason(request, self._request_counts[operation.id])
        if reason is not None:
            raise Rejection(reason, None, "injected fault", is_requested=True)
        # Files are looked for first, because starting a thread costs more than most requests.
        if request.rejects_unsupported_values and any(iterate_uploaded_files(request.body)):
            async with self.context.upload_lock:
                await asyncio.to_thread(check_audio_uploads, request, self._fault_injector)
        self.webhooks.check_webhook_url(request)
        referenced_resources = self.context.resources.find_referenced_resources(request, account)
        if self.context.resources.responds_to(operation):
            response = self.context.resources.respond(
                request, account, self._clock.now(), self.context.job_store.create_next_rng()
            )
            return _select_requested_page(response, request)
        if operation.chat is not None:
            return await self._chat_endpoint.respond(request, operation.chat, account, referenced_resources)
        return await self._call_endpoint(request, account, referenced_resources)

    async def _call_endpoint(
        self, request: ParsedRequest, account: EmulatedAccount, referenced_resources: Sequence[StoredResource]
    ) -> EmulatedResponse:
        operation = request.operation
        if operation.audio_input is not None and contains_audio_input(request):
            return await self._audio_input_endpoint.respond(request, account)
        if operation.batch is not None:
            return await self._batch_endpoint.respond(request, operation.batch, account)
        if operation.speech is not None:
            return await self._speech_endpoint.respond(request, account)
        if operation.job_target is not None:
            return await self._job_submission_endpoint.respond(request, account, operation.job_target)
        if self._job_endpoint.responds_to(operation):
            return await self._job_endpoint.respond(request, account)
        if referenced_resources:
            response = self.context.resources.build_access_response(request, referenced_resources[0])
        else:
            filters_lists = not self._fault_injector.is_check_skipped("filters", operation)
            response = self.context.response_builder.build_documented_response(request, filters_lists=filters_lists)
        return _select_requested_page(response, request)


def _select_requested_page(response: EmulatedResponse, request: ParsedRequest) -> EmulatedResponse:
    if request.operation.pagination is not None:
        select_page(response, request, request.operation.pagination)
    return response


# Describes in words what the emulator does for each operation.


_DESCRIPTION_BY_CONVERSION_PURPOSE = {
    "voice": "shifts the pitch of the audio depending on the requested voice",
    "translate": "transcribes the audio and returns a pseudo-translation marked as emulated",
    "style": "changes the pitch and speed of the audio",
    "enhance": "filters the audio",
    "separate": "splits the audio into frequency bands",
    "dereverb": "filters the audio",
    "analyse": "estimates the key and tempo of the audio",
    "convert": "converts format, sample rate and channels",
}
_DESCRIPTION_BY_JOB_ACTION = {
    "status": "returns the state of a job and the location of its audio",
    "result": "returns the result of a job",
    "cancel": "cancels a job",
    "download": "returns generated audio",
}
_DESCRIPTION_BY_RESOURCE_ACTION = {
    "create": "creates a resource of the account: {name}",
    "list": "lists resources of the account: {name}",
    "delete": "deletes a resource: {name}",
    "set": "sets the state of a resource to {new_state}: {name}",
}


def describe_emulation(operation: Operation) -> str:
    """Return a verb phrase that describes the emulated behavior of `operation`."""
    job_role = find_job_operation_roles(operation.contract).get(operation.id)
    filters = any(parameter.message_part == "query" for parameter in operation.parameters)
    return (
        _describe_socket_or_chat(operation)
        or _describe_resource_operation(operation)
        or _describe_speech_or_audio_input(operation)
        or (_DESCRIPTION_BY_JOB_ACTION[job_role.action] if job_role is not None else None)
        or _describe_use_of_resource(operation)
        or ("returns the documented example, filtered" if filters else "returns the documented example")
    )


def _describe_socket_or_chat(operation: Operation) -> str | None:
    if operation.socket is not None:
        does = "transcribes the audio" if operation.socket.spec.transcribes else "speaks the text"
        return f"{does} while it arrives"
    is_chat = operation.chat is not None
    return "replies with a fixed phrase that quotes the last messages, as text and speech" if is_chat else None


def _describe_resource_operation(operation: Operation) -> str | None:
    for operation_id, role in find_resource_operation_roles(operation.contract):
        if operation_id == operation.id:
            phrase = _DESCRIPTION_BY_RESOURCE_ACTION[role.action]
            return phrase.format(name=role.resource_spec.display_name, new_state=role.new_state)
    return None


def _describe_speech_or_audio_input(operation: Operation) -> str | None:
    if isinstance(operation.audio_input, TranscriptionSpec):
        return "transcribes the audio"
    if operation.audio_input is not None:
        return _DESCRIPTION_BY_CONVERSION_PURPOSE[operation.audio_input.purpose]
    if operation.batch is not None:
        return "creates a job for each item"
    if operation.speech is None:
        return None
    if operation.stream is not None:
        is_choice = any(audio.delivery_method != "stream" for audio in operation.response_audio_variants)
        return "returns or streams speech" if is_choice else "streams speech"
    return "creates a job that produces speech" if operation.speech.response.status_operation_id else "returns speech"


def _describe_use_of_resource(operation: Operation) -> str | None:
    for maker in operation.contract.operations.values():
        if maker.resource is not None and any(maker.iterate_uses_of_created_resource(operation)):
            verb = "reads" if operation.method == "GET" else "changes"
            return f"{verb} a resource: {maker.resource.display_name}"
    return None
