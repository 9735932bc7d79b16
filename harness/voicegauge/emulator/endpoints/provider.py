"""Emulates one provider: routes and authenticates requests, and dispatches them to the endpoints."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from urllib.parse import unquote

from voicegauge.contract import Contract, Operation
from voicegauge.contract.extension import STATUS_CODES_BY_REASON
from voicegauge.emulator.audio import SpeechSynthesizer
from voicegauge.emulator.endpoints.audio_input import AudioInputEndpoint
from voicegauge.emulator.endpoints.audio_input_requests import check_audio_uploads
from voicegauge.emulator.endpoints.batches import BatchEndpoint
from voicegauge.emulator.endpoints.chats import ChatEndpoint
from voicegauge.emulator.endpoints.context import EndpointContext
from voicegauge.emulator.endpoints.downloads import AudioDownloads
from voicegauge.emulator.endpoints.idempotency import IdempotentResponses
from voicegauge.emulator.endpoints.job_store import JobStore
from voicegauge.emulator.endpoints.job_submission import JobSubmissionEndpoint
from voicegauge.emulator.endpoints.jobs import JobEndpoint
from voicegauge.emulator.endpoints.resources import ResourceStore
from voicegauge.emulator.endpoints.speech import SpeechEndpoint
from voicegauge.emulator.faults import FaultInjector
from voicegauge.emulator.http import IncomingRequest, ParsedRequest, Rejection, iterate_uploaded_files, parse_request
from voicegauge.emulator.responses import (
    EmulatedResponse,
    ResponseBuilder,
    add_documented_headers,
    build_error_response,
)
from voicegauge.emulator.settings import SCENARIO_HEADER, EmulatorSettings
from voicegauge.emulator.state import AccountRegistry, EmulatedAccount, EmulatedClock
from voicegauge.emulator.webhooks import WebhookNotifier


class EmulatedProvider:
    """Responds to the requests to one provider."""

    def __init__(
        self,
        contract: Contract,
        settings: EmulatorSettings,
        clock: EmulatedClock,
        synthesizer: SpeechSynthesizer,
        fault_injector: FaultInjector,
        upload_lock: asyncio.Lock,
    ) -> None:
        """Start without accounts, jobs and resources. To reset a provider, create a new one."""
        self.contract = contract
        self._clock, self._fault_injector, self._upload_lock = clock, fault_injector, upload_lock
        self._builder = ResponseBuilder(contract)
        self.accounts = AccountRegistry(contract, settings)
        self.job_store = JobStore(contract, settings, clock, fault_injector)
        self.resources = ResourceStore(contract, fault_injector, is_quota_enforced=settings.enforces_rate_limits)
        self._request_counts: Counter[str] = Counter()
        self._idempotent_responses = IdempotentResponses()
        self.downloads = AudioDownloads(self.job_store, synthesizer, fault_injector)
        context = EndpointContext(
            contract=contract,
            settings=settings,
            clock=clock,
            fault_injector=fault_injector,
            response_builder=self._builder,
            accounts=self.accounts,
            job_store=self.job_store,
            resources=self.resources,
            downloads=self.downloads,
            upload_lock=upload_lock,
        )
        self._speech = SpeechEndpoint(context)
        self._batches = BatchEndpoint(context, self._speech)
        self._chats = ChatEndpoint(context)
        self._submits = JobSubmissionEndpoint(context)
        self._jobs = JobEndpoint(context, self._batches)
        self._audio_inputs = AudioInputEndpoint(context)
        self.webhooks = WebhookNotifier(
            response_builder=self._builder,
            clock=clock,
            fault_injector=fault_injector,
            settings=settings,
            update_job_state=self.job_store.update_job_state,
        )

    async def respond(self, incoming_request: IncomingRequest) -> EmulatedResponse:
        """Return the response to a request, with faults applied."""
        if self.accounts.tokens.responds_to(incoming_request):
            status, body = self.accounts.tokens.respond(incoming_request, self._clock.now())
            return EmulatedResponse("other" if status == HTTPStatus.OK else "error", status, body, "application/json")
        try:
            operation, path = self._find_operation(incoming_request)
        except Rejection as rejection:
            return self._builder.build_unrouted_response(incoming_request, rejection)
        account: EmulatedAccount | None = None
        is_repeated = False
        try:
            account = self._authenticate(incoming_request, operation)
            if not self._jobs.responds_to(operation):  # polls and downloads do not count against the rate limit
                self.accounts.count_request(account, operation, self._clock.now())
            with self._count_concurrent_request(
                account, operation
            ):  # before the first await, so that concurrent requests count
                is_repeated, response = await self._perform_unless_repeated(incoming_request, operation, path, account)
        except Rejection as rejection:
            response = build_error_response(operation, rejection)
        if response.is_body_text_or_json:
            response.body = self._builder.replace_server_urls(response.body, incoming_request.base_url)
        add_documented_headers(response, self.accounts.compute_rate_limit_values(account, operation, self._clock.now()))
        await self._clock.sleep(self._fault_injector.sum_fault_delays_s(operation, response.target))
        if not is_repeated:
            await self.webhooks.subscribe_if_requested(response)
        # After the webhooks: faults of responses must not change what callbacks report.
        self._fault_injector.change_response(response)
        if response.split_into_pieces is not None:
            pieces = response.split_into_pieces(response.body)
            for piece in pieces:
                piece.event_data = self._builder.replace_server_urls(piece.event_data, incoming_request.base_url)
            response.stream_pieces = self._fault_injector.change_stream_pieces(response, pieces)
        return response

    @contextlib.contextmanager
    def _count_concurrent_request(self, account: EmulatedAccount, operation: Operation) -> Iterator[None]:
        """Count a speech or audio input request toward the limit of concurrent requests while the context lasts."""
        is_counted = operation.speech is not None or operation.audio_input is not None
        account.requests_in_flight_count += is_counted
        try:
            yield
        finally:
            account.requests_in_flight_count -= is_counted

    def _find_operation(self, incoming_request: IncomingRequest) -> tuple[Operation, dict[str, str]]:
        for path in self._builder.iterate_candidate_paths(incoming_request.path):
            match = self.contract.match_operation(incoming_request.method, path)
            if match is not None:
                return match[0], {name: unquote(value) for name, value in match[1].items()}
        raise Rejection("not-found", None, f"no such path: {incoming_request.path}")

    def _authenticate(self, incoming_request: IncomingRequest, operation: Operation) -> EmulatedAccount:
        """Return the account of a request.

        Raises:
            Rejection: the key is missing or rejected, or the scenario header asks for a rejection.
        """
        scenario = (incoming_request.find_header(SCENARIO_HEADER) or "").strip()
        reason, _, field = scenario.partition(":")
        if reason in STATUS_CODES_BY_REASON:
            raise Rejection(reason, field or None, f"requested by {SCENARIO_HEADER}")
        is_enforced = not self._fault_injector.is_check_skipped("key", operation)
        return self.accounts.identify_account(
            incoming_request, operation, self._clock.now(), is_key_enforced=is_enforced
        )

    async def _perform_unless_repeated(
        self,
        incoming_request: IncomingRequest,
        operation: Operation,
        path_parameters: Mapping[str, str],
        account: EmulatedAccount,
    ) -> tuple[bool, EmulatedResponse]:
        """Perform the request, unless it repeats an earlier one with the same idempotency key.

        Returns:
            Whether the request is a repetition, and the response. A repetition gets the response to the first request.
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
        strict = not self._fault_injector.is_check_skipped("request", operation)
        ignored_keywords = ("maxItems",) if self._fault_injector.is_check_skipped("items", operation) else ()
        request = parse_request(
            incoming_request,
            operation,
            path_parameters,
            rejects_unsupported_values=strict,
            ignored_keywords=ignored_keywords,
        )
        self._request_counts[operation.id] += 1
        reason = self._fault_injector.find_rejection_reason(request, self._request_counts[operation.id])
        if reason is not None:
            raise Rejection(reason, None, "injected fault")
        if strict and any(
            iterate_uploaded_files(request.body)
        ):  # checked first: starting a thread costs more than most requests
            async with self._upload_lock:
                await asyncio.to_thread(check_audio_uploads, request, self._fault_injector)
        self.webhooks.check_webhook_url(request)
        used = self.resources.find_referenced_resources(request, account)
        if self.resources.responds_to(operation):
            return self.resources.respond(request, account, self._clock.now(), self.job_store.create_next_rng())
        if operation.chat is not None:
            return await self._chats.respond(request, operation.chat, account, used)
        return await self._call_endpoint(request, account, rejects_unsupported_values=strict)

    async def _call_endpoint(
        self, request: ParsedRequest, account: EmulatedAccount, *, rejects_unsupported_values: bool
    ) -> EmulatedResponse:
        operation = request.operation
        if operation.audio_input is not None:
            return await self._audio_inputs.respond(
                request, account, rejects_unsupported_values=rejects_unsupported_values
            )
        if operation.batch is not None:
            return await self._batches.respond(
                request, operation.batch, account, rejects_unsupported_values=rejects_unsupported_values
            )
        if operation.speech is not None:
            return await self._speech.respond(request, account, rejects_unsupported_values=rejects_unsupported_values)
        if operation.job_target is not None:
            return await self._submits.respond(request, account, operation.job_target)
        if self._jobs.responds_to(operation):
            return await self._jobs.respond(request, account)
        return self._builder.build_documented_response(
            request, filters_lists=not self._fault_injector.is_check_skipped("filters", operation)
        )
