"""Runs local servers: the emulator, and the replay of recordings."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, Literal, TypeVar

from voicegauge.api.options import PathLike
from voicegauge.api.target_selection import ContractsOrFolders, select_providers, to_catalogue, to_path_tuple
from voicegauge.contract import Contract
from voicegauge.emulator import EmulatorSettings, RunningEmulator, running_emulator
from voicegauge.emulator.server import bind_socket, running_app, serve, serve_app
from voicegauge.errors import UnknownNameError
from voicegauge.hosts import build_server_url
from voicegauge.recording import Recording, Replay, ReplayApp, load_recordings
from voicegauge.recording.replay import enable_realtime_scheduling

ServerT = TypeVar("ServerT")
UnmatchedRequestCallback = Callable[[str], None]
"""Function that is called with a description of each request for which there is no recording."""


class LocalServer(Generic[ServerT]):
    """A server on this machine, for a `with` or an `async with` block."""

    def __init__(self, context: AbstractContextManager[ServerT]) -> None:
        """Store `context`, a context manager that starts the server on entry and stops it on exit."""
        self._context = context

    def __enter__(self) -> ServerT:
        """Start the server."""
        return self._context.__enter__()

    def __exit__(self, *error: object) -> None:
        """Stop the server."""
        self._context.__exit__(*error)  # type: ignore[arg-type]  # the three values that a `with` statement passes

    async def __aenter__(self) -> ServerT:
        """Start the server in another thread, so that the event loop is not blocked."""
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
        """Return the base URL to use instead of all server URLs of a provider."""
        return f"{self.url}/{provider_id}"

    @property
    def unmatched_requests(self) -> list[str]:
        """Descriptions of unrecorded requests, with the differences from the most similar recorded request."""
        return self.replay.unmatched_request_descriptions

    @property
    def unused_requests(self) -> list[str]:
        """Descriptions of the recorded requests that the client has not sent."""
        return self.replay.unused_request_names


def emulate(
    providers: str | Sequence[str] = (),
    *,
    contracts: ContractsOrFolders = (),
    seed: int = 0,
    clock: Literal["real", "virtual", "per-poll"] = "real",
    time_scale: float = 1.0,
    faults: Sequence[str] = (),
    account_plan: str | None = None,
    account_credits: float | None = None,
    allow_webhook_http: bool = False,
    webhook_hosts: Sequence[str] = (),
    enforce_rate_limits: bool = True,
    port: int = 0,
    host: str = "127.0.0.1",
) -> LocalServer[RunningEmulator]:
    """Run an emulator in a separate process; it responds as the contracts say.

    >>> with voicegauge.emulate("pixelapi", faults=["ignored-key"]) as emulator:
    ...     emulator.base_url("pixelapi") == f"{emulator.url}/pixelapi"
    True

    Args:
        providers: ids of providers; all by default.
        contracts: loaded contracts, or folders of your own.
        seed: seed of ids, jitter and times.
        clock: what advances the emulated jobs. With "real" they take invented times, with "virtual" they wait for
            requests to the emulator's control route, and with "per-poll" each status request moves its job to the
            next state.
        time_scale: factor that multiplies the invented times.
        faults: ids of faults to inject: "ID", "ID@PROVIDER" or "ID@PROVIDER/TARGET".
        account_plan: name of the plan that every account has; by default the plan with the highest rate limit.
        account_credits: balance of a new account; by default the documented balance.
        allow_webhook_http: whether to accept webhook URLs with plain http that point to this machine.
        webhook_hosts: hosts beyond this machine to which callbacks are sent.
        enforce_rate_limits: whether rate limits are enforced.
        port: port to listen on; 0 chooses a free one.
        host: address to listen on.

    Returns:
        A context manager, synchronous and asynchronous, whose value has `url` and `base_url(provider)`.

    Raises:
        UsageError: raised on entering the context if the port is taken or a fault is not known.
    """
    chosen = select_providers(to_catalogue(contracts), providers)
    settings = EmulatorSettings(
        seed=seed,
        clock=clock,
        time_scale=time_scale,
        faults=tuple(faults),
        account_plan=account_plan,
        credits=account_credits,
        accepts_http_webhook_urls=allow_webhook_http,
        webhook_hosts=tuple(webhook_hosts),
        enforces_rate_limits=enforce_rate_limits,
    )
    check_account_plan(chosen, settings)
    return LocalServer(running_emulator(chosen, settings, port=port, host=host))


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
        on_unmatched_request: called with a description of every request that is not recorded.

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
        ReplayApp(loaded_replay, pause_factor=pause_factor, on_unmatched_request=on_unmatched_request), port=port
    ) as url:
        yield RunningReplay(loaded_replay, url)


def serve_emulator(
    contracts: Sequence[Contract],
    settings: EmulatorSettings,
    *,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
) -> None:
    """Run the emulator in this process until Ctrl-C.

    Args:
        contracts: contracts of the providers to emulate.
        settings: settings of the emulator.
        host: address to listen on.
        port: port to listen on; 0 chooses a free one.
        on_ready: called with the root URL when the server accepts requests.

    Raises:
        UnknownNameError: no document names the account plan in the settings.
        UsageError: the address is not available.
    """
    check_account_plan(contracts, settings)
    with _bind_socket_until_interrupted(host, port) as (bound, url):
        serve(contracts, settings, bound, host=host, on_ready=lambda _stop: on_ready(url))


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
        UnknownNameError: as described above.
    """
    plans = {name for contract in contracts for name in contract.limits.plan_limits}
    if settings.account_plan is not None and settings.account_plan not in plans:
        raise UnknownNameError("plan", settings.account_plan, plans)


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
            enable_realtime_scheduling()
        serve_app(app, bound, on_ready=lambda _stop: on_ready(RunningReplay(recorded, url), recordings))
    return recorded
