"""Runs local servers: the emulator, replay of recordings, a judging and recording proxy, a receiver of webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from voicegauge.api.calls import create_keyword_function
from voicegauge.api.local_requests import EmulateRequest, ListenRequest, ProxyRequest
from voicegauge.api.target_selection import (
    ContractsOrFolders,
    find_base_url_and_names,
    select_providers,
    to_catalogue,
    to_path_tuple,
)
from voicegauge.callback_receiver import run_receiver
from voicegauge.client.connection import find_key_destinations
from voicegauge.client.keys import read_secrets
from voicegauge.client.model_and_voice_names import ModelAndVoiceNames
from voicegauge.conformance.received_callbacks import CallbackMonitor, JudgedCallback
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_assembly import describe_todo_marks
from voicegauge.contract.loading import is_bundled
from voicegauge.emulator.app import serve
from voicegauge.emulator.client_findings import ClientFinding
from voicegauge.emulator.process import EmulatorSettings, RunningEmulator, create_server_certificate, running_emulator
from voicegauge.emulator.server import ServerOptions, bind_socket, running_app, serve_app
from voicegauge.errors import StorageError, UnknownNameError, UsageError
from voicegauge.files import check_writable
from voicegauge.hosts import build_server_url, to_socket_url
from voicegauge.model.base import Finding, Record, StopReason
from voicegauge.model.exchange import ReceivedCallback
from voicegauge.options import PathLike, with_checked_arguments
from voicegauge.recording.har_files import load_recordings
from voicegauge.recording.recorded_exchanges import Recording
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.recording.replay import Replay
from voicegauge.recording.replay_server import ReplayApp, enable_realtime_scheduling
from voicegauge.relay.relay_server import RelayApp, run_relay
from voicegauge.relay.traffic_monitor import CapturedBodyLimit, JudgeSettings, ProxyReport, TrafficMonitor, Upstream
from voicegauge.version import __version__

ServerT = TypeVar("ServerT")
UnmatchedRequestCallback = Callable[[str], None]
"""Function that is called with a description of each request for which there is no recording."""


class LocalServer(Generic[ServerT]):
    """A server on this machine, for a `with` or an `async with` block."""

    def __init__(self, context: AbstractContextManager[ServerT]) -> None:
        """Store `context`, a context manager that starts the server on entry and stops it on exit."""
        self._context = context

    if not TYPE_CHECKING:  # type checkers shall report an unknown attribute themselves

        def __getattr__(self, name: str) -> Any:
            """Say that attributes are those of the running server, which the `with` statement returns."""
            raise AttributeError(
                "the server is not running: write `with voicegauge.emulate(...) as server:` (or `replay`, `proxy`), "
                f"and use server.{name} in the block"
            )

    def __enter__(self) -> ServerT:
        """Start the server, and return it."""
        return self._context.__enter__()

    def __exit__(self, *error: object) -> None:
        """Stop the server."""
        self._context.__exit__(*error)  # type: ignore[arg-type]  # the three values that a `with` statement passes

    async def __aenter__(self) -> ServerT:
        """Start the server in another thread, so that the event loop is not blocked, and return it."""
        return await asyncio.to_thread(self._context.__enter__)

    async def __aexit__(self, *error: object) -> None:
        """Stop the server in another thread."""
        await asyncio.to_thread(self.__exit__, *error)


class RunningReplay:
    """A running server that answers requests with recorded responses."""

    def __init__(self, replay: Replay, url: str) -> None:
        """Store the replay and the root URL `url` of its server, which runs already."""
        self.replay, self.url = replay, url

    def base_url(self, provider_id: str) -> str:
        """Return the base URL to use instead of all server URLs of a provider.

        Raises:
            UnknownNameError: no recording is of this provider.
        """
        recorded = {request.comparable_request.provider for request in self.replay.recorded_requests}
        if provider_id not in recorded:
            raise UnknownNameError("provider", provider_id, recorded, where="to this replay")
        return f"{self.url}/{provider_id}"

    @property
    def unmatched_requests(self) -> list[str]:
        """Descriptions of unrecorded requests, with the differences from the most similar recorded request."""
        return self.replay.unmatched_request_descriptions

    @property
    def unused_requests(self) -> list[str]:
        """Descriptions of the recorded requests that the client has not sent so far."""
        return self.replay.unused_request_names


def run_emulate(request: EmulateRequest) -> LocalServer[RunningEmulator]:
    """Run an emulator in a separate process; it responds as the contracts say.

    >>> with voicegauge.emulate("pixelapi", faults=["ignored-key"]) as emulator:
    ...     emulator.base_url("pixelapi") == f"{emulator.url}/pixelapi"
    True

    Returns:
        A context manager, synchronous and asynchronous, whose value has `url` and `base_url(provider)`.

    Raises:
        UsageError: raised on entering the context if the port is taken or a fault is not known.
    """
    chosen = select_providers(to_catalogue(request.contracts), request.providers)
    settings = build_requested_emulator_settings(request)
    check_account_plan(chosen, settings)
    return LocalServer(running_emulator(chosen, settings, port=request.port, host=request.host, tls=request.tls))


def build_requested_emulator_settings(request: EmulateRequest) -> EmulatorSettings:
    """Return the settings of the emulator that a request describes."""
    return EmulatorSettings(
        seed=request.seed,
        clock=request.clock,
        time_scale=request.time_scale,
        faults=tuple(request.faults),
        account_plan=request.account_plan,
        credits=request.account_credits,
        accepts_http_webhook_urls=request.allow_webhook_http,
        webhook_hosts=tuple(request.webhook_hosts),
        enforces_rate_limits=request.enforce_rate_limits,
    )


emulate = create_keyword_function(EmulateRequest, run_emulate, name="emulate")


@with_checked_arguments
def replay(
    paths: PathLike | Sequence[PathLike],
    *,
    contracts: ContractsOrFolders = (),
    conversation_id_part: str = "",
    pause_factor: float = 0.0,
    port: int = 0,
    on_unmatched_request: UnmatchedRequestCallback | None = None,
) -> LocalServer[RunningReplay]:
    """Serve recordings, in a thread of this process.

    >>> with voicegauge.replay(recordings) as replayed:
    ...     replayed.base_url("pixelapi") == f"{replayed.url}/pixelapi"
    True

    Args:
        paths: HAR files, or folders of HAR files.
        contracts: loaded contracts, or folders of your own.
        conversation_id_part: serve only conversations whose `conversation_id` contains this text.
        pause_factor: factor that multiplies the recorded pauses; 0 leaves the pauses out.
        port: port to listen on; 0 chooses a free one.
        on_unmatched_request: called with a description of every request that is not recorded, unless `None`.

    Returns:
        A context manager, synchronous and asynchronous, whose value has `url`, `base_url(provider)`,
        `unmatched_requests` and `unused_requests`.

    Raises:
        DataError: a file is not a recording, or its provider does not have a contract.
    """
    recorded = Replay(
        load_recordings(to_path_tuple(paths), conversation_id_part=conversation_id_part), to_catalogue(contracts)
    )
    return LocalServer(_serve_loaded_replay(recorded, pause_factor, port, on_unmatched_request))


@contextmanager
def _serve_loaded_replay(
    loaded_replay: Replay, pause_factor: float, port: int, on_unmatched_request: UnmatchedRequestCallback | None
) -> Iterator[RunningReplay]:
    with running_app(
        ReplayApp(loaded_replay, pause_factor=pause_factor, on_unmatched_request=on_unmatched_request),
        port=port,
        options=ServerOptions(accepts_sockets=True),
    ) as url:
        yield RunningReplay(loaded_replay, url)


def serve_emulator(
    request: EmulateRequest,
    contracts: Sequence[Contract],
    *,
    on_ready: Callable[[RunningEmulator], None],
    on_client_finding: Callable[[ClientFinding], None],
) -> None:
    """Run the emulator in this process until Ctrl-C.

    Args:
        request: how the emulator behaves, and where it listens.
        contracts: the contracts of its providers.
        on_ready: called with the emulator when it accepts requests.
        on_client_finding: called with each finding about a client of a WebSocket.

    Raises:
        UnknownNameError: no document names the account plan.
        UsageError: the address is not available.
    """
    settings = build_requested_emulator_settings(request)
    check_account_plan(contracts, settings)
    with contextlib.ExitStack() as stack:
        certificate = stack.enter_context(create_server_certificate(request.host)) if request.tls else None
        bound, _ = stack.enter_context(_bind_socket_until_interrupted(request.host, request.port))
        running = RunningEmulator(
            request.host,
            bound.getsockname()[1],
            tuple(contract.id for contract in contracts),
            settings,
            authority_file=certificate.authority_file if certificate else None,
        )
        serve(
            contracts,
            settings,
            bound,
            host=request.host,
            on_ready=lambda _stop: on_ready(running),
            ssl_context=certificate.ssl_context if certificate else None,
            on_client_finding=on_client_finding,
        )


@contextmanager
def _bind_socket_until_interrupted(host: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """Yield a bound socket and its URL. Ctrl-C ends the block without an error, because users stop servers with it."""
    bound = bind_socket(host, port)
    try:
        yield bound, build_server_url(host, bound.getsockname()[1])
    except KeyboardInterrupt:
        pass
    finally:
        bound.close()


def check_account_plan(contracts: Sequence[Contract], settings: EmulatorSettings) -> None:
    """Reject settings with an account plan that no document names.

    Raises:
        UnknownNameError: no document names the plan.
    """
    plans = {name for contract in contracts for name in contract.limits.plan_limits}
    if settings.account_plan is not None and settings.account_plan not in plans:
        raise UnknownNameError("plan", settings.account_plan, plans, advice="" if plans else "leave out --plan")


def serve_replay(
    paths: Sequence[PathLike],
    contracts: Sequence[Contract],
    *,
    host: str,
    port: int,
    pause_factor: float,
    on_ready: Callable[[RunningReplay, Sequence[Recording]], None],
    on_unmatched_request: UnmatchedRequestCallback,
) -> Replay:
    """Serve recordings in this process until Ctrl-C.

    Args:
        paths: HAR files, or folders of HAR files.
        contracts: contracts of the providers to serve; recordings of other providers are left out.
        host: address to listen on.
        port: port to listen on; 0 chooses a free one.
        pause_factor: factor that multiplies the recorded pauses; 0 leaves the pauses out.
        on_ready: called with the server and its recordings when the server accepts requests.
        on_unmatched_request: called with a description of every request that is not recorded.

    Returns:
        The finished replay, which lists the requests without a recording and the recordings without a request.

    Raises:
        DataError: a file is not a recording, or no recording belongs to these providers.
        UsageError: the address is not available.
    """
    ids = {contract.id for contract in contracts}
    recordings = [recording for recording in load_recordings(to_path_tuple(paths)) if recording.provider in ids]
    recorded = Replay(recordings, contracts)
    app = ReplayApp(recorded, pause_factor=pause_factor, on_unmatched_request=on_unmatched_request)
    with _bind_socket_until_interrupted(host, port) as (bound, url):
        if pause_factor > 0:
            # Pauses are repeated to the millisecond; other processes of a busy machine would lengthen them.
            enable_realtime_scheduling()
        serve_app(
            app,
            bound,
            on_ready=lambda _stop: on_ready(RunningReplay(recorded, url), recordings),
            options=ServerOptions(accepts_sockets=True),
        )
    return recorded


# Runs a proxy between a client and a service, which judges and records what passes.


class RunningProxy:
    """A running proxy with its URLs, and its findings so far."""

    def __init__(
        self, contract: Contract, url: str, upstream: Upstream, monitor: TrafficMonitor, recording_path: Path | None
    ) -> None:
        """Store what is known about the proxy, which runs already.

        Args:
            contract: contract of the provider to which requests are forwarded.
            url: root URL of the proxy.
            upstream: the servers to which requests are forwarded.
            monitor: judges the exchanges.
            recording_path: the HAR file to which exchanges are written; `None` if there is none.
        """
        self._contract, self._upstream, self._monitor = contract, upstream, monitor
        self.url = url
        self.recording = recording_path
        """The HAR file to which exchanges are written; `None` if there is none."""

    @property
    def base_urls(self) -> dict[str, str]:
        """The base URL to use in the client instead of each server's URL, by that URL.

        The URL of a server of one's own is the one to which requests are forwarded, not the example in the contract.
        """
        own_url = self._upstream.base_urls.get("") if self._contract.provider.self_hosted is not None else None
        return {
            own_url or server.url: f"{self.url}{urlsplit(server.url).path}"
            for server in self._contract.servers.values()
        }

    @property
    def socket_base_urls(self) -> dict[str, str]:
        """The base URL (ws) for WebSockets to use in the client instead of each server's URL (ws or wss), by that URL.

        Empty for a provider without WebSockets.
        """
        servers = {operation.server.url for operation in self._contract.socket_operations.values()}
        return {to_socket_url(url): to_socket_url(own) for url, own in self.base_urls.items() if url in servers}

    @property
    def upstream_urls(self) -> tuple[str, ...]:
        """The base URLs to which requests are forwarded."""
        urls = self._upstream.base_urls or {server.name: server.url for server in self._contract.servers.values()}
        return tuple(self._contract.describe_base_url(name, url) for name, url in urls.items())

    @property
    def findings(self) -> list[Finding]:
        """The findings so far, in the order in which they occurred.

        A finding that occurs again with the same message is contained only once. Exchanges are judged some time after
        they have passed, so findings about the latest exchanges may be missing.
        """
        return list(self._monitor.new_findings.values())

    @property
    def unjudged_count(self) -> int:
        """Number of exchanges that have passed the proxy and are not judged yet."""
        return self._monitor.unjudged_count

    @property
    def report(self) -> ProxyReport:
        """The report of all traffic, which exists after the end of the `with` block.

        Raises:
            NothingMeasuredError: the proxy still runs, or the process that judges was killed.
        """
        monitor, document_path = self._monitor, self._contract.document.path
        return ProxyReport(
            voicegauge_version=__version__,
            provider=self._contract.id,
            upstream_urls=self.upstream_urls,
            request_count=monitor.request_count,
            failure_count_by_reason=dict(monitor.failure_count_by_reason),
            unjudged_count_by_reason=dict(monitor.unjudged_count_by_reason),
            undocumented_request_count_by_operation=dict(monitor.undocumented_request_count_by_operation),
            recording_path=str(self.recording) if self.recording is not None and monitor.recorded_count else None,
            recorded_count=monitor.recorded_count,
            contract_path=None if is_bundled(document_path) else str(document_path),
            unrecorded_count_by_reason=dict(monitor.unrecorded_count_by_reason),
            report=monitor.require_report(),
        )


def run_proxy(request: ProxyRequest) -> LocalServer[RunningProxy]:
    """Run a proxy between your own client and a service; requests and responses pass unchanged.

    >>> with voicegauge.emulate("pixelapi") as emulator:
    ...     with voicegauge.proxy("pixelapi", upstream=emulator.base_url("pixelapi")) as proxied:
    ...         proxied.base_urls["https://api.pixelapi.dev"] == f"{proxied.url}"
    ...     proxied.report.request_count
    True
    0

    Each exchange is judged with the rules of `check` over recordings, in a process of its own.

    Returns:
        A context manager, synchronous and asynchronous, whose value has `url`, `base_urls` and `findings`, and after
        the end of the context `report`.

    Raises:
        UnknownNameError: there is no such provider.
        UsageError: keys would be sent over plain http, `upstream` is the address of the proxy itself, or on entering
            the context: the port is taken, or a server of your own has no API at `upstream` or rejects the key.
        TransportError: raised on entering the context if a server of your own cannot be reached.
        StorageError: raised on entering the context if the recording exists or cannot be written.
    """
    upstream, port, host = request.upstream, request.port, request.host
    contract = select_providers(to_catalogue(request.contracts), request.provider)[0]
    base_urls = {} if upstream is None else {"": upstream}
    if upstream is not None and port and (urlsplit(upstream).hostname, urlsplit(upstream).port) == (host, port):
        raise UsageError(f"upstream {upstream} is the address of the proxy itself: name that of the service")
    unencrypted = find_key_destinations(contract, base_urls).unencrypted_server_urls
    if unencrypted and not request.allow_insecure_http:
        raise UsageError(
            f"keys would be sent unencrypted to {unencrypted[0]}: use https, or pass --allow-insecure-http"
        )
    named = request.recording_path
    path = _choose_recording_path(Path(named), contract) if named is not None else None
    return LocalServer(
        _run_proxy(contract, request, path, TrafficMonitor(request.on_finding, request.on_missing_response))
    )


proxy = create_keyword_function(ProxyRequest, run_proxy, name="proxy")


def _choose_recording_path(path: Path, contract: Contract) -> Path:
    """Return the HAR file to write: `path` if it ends in .har, otherwise a new file in the folder `path`.

    Raises:
        StorageError: the file exists or cannot be written.
    """
    if path.suffix != ".har":
        path = path / f"{contract.id}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.har"
    if path.exists():
        raise StorageError(f"{path} exists: name another file, or delete it")
    # Before the proxy starts: what has passed cannot be recorded later.
    check_writable(path)
    return path


@contextmanager
def _run_proxy(
    contract: Contract, request: ProxyRequest, recording_path: Path | None, monitor: TrafficMonitor
) -> Iterator[RunningProxy]:
    todo_notice = describe_todo_marks([contract.document.path])
    if todo_notice is not None:
        request.on_notice(todo_notice)
    upstream_url, names = request.upstream, ModelAndVoiceNames()
    if upstream_url is not None:
        destinations = find_key_destinations(contract, {"": upstream_url})
        if destinations.is_key_set and contract.provider.self_hosted is not None:
            request.on_notice(f"LIVE: {destinations.describe()}")
        upstream_url, names = find_base_url_and_names(contract, upstream_url, request.allowed_keys)
    upstream = Upstream(contract, upstream_url)
    settings = JudgeSettings(
        contract_path=str(contract.document.path),
        base_urls=dict(upstream.base_urls),
        model_and_voice_names=names,
        recording_path=str(recording_path.absolute()) if recording_path is not None else None,
        redaction=RedactionSettings(names_to_mask=request.names_to_mask, names_to_keep=request.names_to_keep),
    )
    app = RelayApp(upstream, CapturedBodyLimit(), monitor)
    # The server stops first; then what has passed is judged.
    server = run_relay(app, host=request.host, port=request.port)
    with monitor.judge_traffic(settings), server as url:
        yield RunningProxy(contract, url, upstream, monitor, recording_path)


# Receives webhooks and validates them against the contracts.


CALLBACK_QUEUE_CHECK_INTERVAL_S = 0.2
"""Interval, in seconds, between checks for Ctrl-C and for the time limit."""


class ListenResult(Record, frozen=True, kw_only=True):
    """The result of `listen`, which `voicegauge listen --json` writes as JSON when it ends."""

    schema: str = "voicegauge/listen/2"
    voicegauge_version: str
    """Version of voicegauge that received the webhooks."""
    url: str
    """The URL to which providers sent webhooks. It was valid only while the command ran."""
    webhooks: tuple[JudgedCallback, ...]
    """All webhooks that were sent to the URL, including those that fit no contract (`verdict` "unknown")."""
    stop_reason: StopReason | None = None
    """"interrupted" after Ctrl-C; `None` if a limit was reached."""

    @property
    def assigned_webhooks(self) -> tuple[JudgedCallback, ...]:
        """The webhooks that were assigned to an operation of a contract, whether they passed or failed."""
        return tuple(webhook for webhook in self.webhooks if webhook.verdict != "unknown")


def run_listen(request: ListenRequest) -> ListenResult:
    """Receive webhooks and validate them against the contracts, until Ctrl-C or a limit is reached.

    Returns:
        All webhooks with their findings. `stop_reason` tells whether Ctrl-C ended the call.

    Raises:
        UnknownNameError: a name is not a provider.
        UsageError: the port is not available, or `public_url` is not an https URL.
    """
    catalogue = to_catalogue(request.contracts)
    listener = CallbackMonitor(
        select_providers(catalogue, request.providers),
        callback_timing=request.subscribed_events,
        secrets=[secret for contract in catalogue for secret in read_secrets(contract)],
    )
    waiting: queue.SimpleQueue[ReceivedCallback] = queue.SimpleQueue()
    webhooks: list[JudgedCallback] = []
    matching_count = 0
    stop_reason: StopReason | None = None
    # The receiver has a thread of its own; what it receives is judged, and passed to the caller, in this one.
    with run_receiver(port=request.port, public_url=request.public_url, on_callback=waiting.put) as receiver:
        url = receiver.create_url(for_many_requests=True)
        try:
            request.on_ready(url)
            for received in _receive_until_timeout(waiting, request.timeout_s):
                webhooks.append(listener.judge_callback(received))
                request.on_webhook(webhooks[-1])
                matching_count += webhooks[-1].fits_contract
                if matching_count == request.max_webhooks:
                    break
        except KeyboardInterrupt:
            stop_reason = "interrupted"
    return ListenResult(voicegauge_version=__version__, url=url, webhooks=tuple(webhooks), stop_reason=stop_reason)


listen = create_keyword_function(ListenRequest, run_listen, name="listen")


def _receive_until_timeout(
    callback_queue: queue.SimpleQueue[ReceivedCallback], timeout_s: float | None
) -> Iterator[ReceivedCallback]:
    """Yield the received callbacks for `timeout_s` seconds, or without end if it is `None`."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while deadline is None or time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            yield callback_queue.get(timeout=CALLBACK_QUEUE_CHECK_INTERVAL_S)
