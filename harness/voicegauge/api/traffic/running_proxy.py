"""Runs a proxy between a client and a service, which judges and records what passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from voicegauge.api.local_servers import LocalServer
from voicegauge.api.options import PathLike
from voicegauge.api.target_selection import ContractsOrFolders, select_providers, to_catalogue
from voicegauge.client import find_key_destinations
from voicegauge.conformance.proxy import (
    CaptureMemory,
    FindingCallback,
    JudgeSettings,
    ProxyReport,
    RelayApp,
    TrafficMonitor,
    Upstream,
    run_relay,
)
from voicegauge.contract import Contract
from voicegauge.errors import StorageError, UsageError
from voicegauge.files import check_writable
from voicegauge.model import Finding
from voicegauge.version import __version__


class RunningProxy:
    """A running proxy with its URLs, and its findings so far."""

    def __init__(
        self, contract: Contract, url: str, upstream: Upstream, monitor: TrafficMonitor, recording_path: Path | None
    ) -> None:
        """Store what is known about the proxy, which runs already. Its root URL is `url`."""
        self._contract, self._upstream, self._monitor = contract, upstream, monitor
        self.url = url
        self.recording = recording_path
        """The HAR file to which exchanges are written; `None` if there is none."""

    @property
    def base_urls(self) -> dict[str, str]:
        """The base URL for the client to use, by the URL of the server that it replaces."""
        return {server.url: f"{self.url}{urlsplit(server.url).path}" for server in self._contract.servers.values()}

    @property
    def upstream_urls(self) -> tuple[str, ...]:
        """The base URLs to which requests are forwarded."""
        return tuple(self._upstream.base_urls.values() or (server.url for server in self._contract.servers.values()))

    @property
    def findings(self) -> list[Finding]:
        """The findings so far, in the order in which they occurred.

        A finding that occurs again with the same message is contained only once. Exchanges are judged some time after
        they have passed, so findings about the latest exchanges may be missing.
        """
        return list(self._monitor.new_findings.values())

    @property
    def unjudged_count(self) -> int:
        """Number of exchanges that passed and are not judged yet."""
        return self._monitor.unjudged_count

    @property
    def report(self) -> ProxyReport:
        """The report of all traffic. It exists once the `with` block has ended.

        Raises:
            NothingMeasuredError: the proxy still runs, or the process that judges was killed.
        """
        monitor = self._monitor
        return ProxyReport(
            voicegauge_version=__version__,
            provider=self._contract.id,
            upstream_urls=self.upstream_urls,
            request_count=monitor.request_count,
            failure_count_by_reason=dict(monitor.failure_count_by_reason),
            unjudged_count_by_reason=dict(monitor.unjudged_count_by_reason),
            undocumented_count_by_request=dict(monitor.undocumented_count_by_request),
            recording_path=str(self.recording) if self.recording is not None and monitor.recorded_count else None,
            recorded_count=monitor.recorded_count,
            unrecorded_count_by_reason=dict(monitor.unrecorded_count_by_reason),
            report=monitor.require_report(),
        )


def proxy(
    provider: str,
    *,
    upstream: str | None = None,
    recording_path: PathLike | None = None,
    contracts: ContractsOrFolders = (),
    names_to_mask: Sequence[str] = (),
    allow_insecure_http: bool = False,
    port: int = 0,
    host: str = "127.0.0.1",
    on_finding: FindingCallback = lambda _finding: None,
    on_missing_response: Callable[[str], None] = lambda _reason: None,
) -> LocalServer[RunningProxy]:
    """Run a proxy between your own client and a service; requests and responses pass unchanged.

    >>> with voicegauge.emulate("pixelapi") as emulator:
    ...     with voicegauge.proxy("pixelapi", upstream=emulator.base_url("pixelapi")) as proxied:
    ...         proxied.base_urls["https://api.pixelapi.dev"] == f"{proxied.url}"
    ...     proxied.report.request_count
    True
    0

    Each exchange is judged with the rules of `check` over recordings, in a process of its own.

    Args:
        provider: id of the provider.
        upstream: base URL of the service in place of those of the contract, such as that of an emulator.
        recording_path: HAR file to write, or the folder in which a new one is created. It is complete after each
            exchange, and has no secrets.
        contracts: loaded contracts, or folders of your own.
        names_to_mask: names of further fields, parameters and headers to redact.
        allow_insecure_http: whether requests with their keys may be sent to another machine over plain http.
        port: port to listen on; 0 chooses a free one.
        host: address to listen on.
        on_finding: called with each new finding, in another thread.
        on_missing_response: called with each new reason why there was no response of the service, in another thread.

    Returns:
        A context manager, synchronous and asynchronous, whose value has `url`, `base_urls` and `findings`, and after
        the end of the context `report`.

    Raises:
        UnknownNameError: there is no such provider.
        UsageError: keys would be sent over plain http, `upstream` is the address of the proxy itself, or on entering
            the context: the port is taken.
        StorageError: raised on entering the context if the recording exists or cannot be written.
    """
    contract = select_providers(to_catalogue(contracts), provider)[0]
    service = Upstream(contract, upstream)
    if upstream is not None and port and (urlsplit(upstream).hostname, urlsplit(upstream).port) == (host, port):
        raise UsageError(f"upstream {upstream} is the address of the proxy itself: name that of the service")
    unencrypted = find_key_destinations(contract, service.base_urls).unencrypted_server_urls
    if unencrypted and not allow_insecure_http:
        raise UsageError(
            f"keys would be sent unencrypted to {unencrypted[0]}: use https, or pass --allow-insecure-http"
        )
    path = _choose_recording_path(Path(recording_path), contract) if recording_path is not None else None
    return LocalServer(
        _run_proxy(
            contract, service, path, tuple(names_to_mask), (host, port), TrafficMonitor(on_finding, on_missing_response)
        )
    )


def _choose_recording_path(path: Path, contract: Contract) -> Path:
    """Return the HAR file to write: `path` if it ends in .har, otherwise a new file in the folder `path`.

    Raises:
        StorageError: the file exists or cannot be written.
    """
    if path.suffix != ".har":
        path = path / f"{contract.id}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.har"
    if path.exists():
        raise StorageError(f"{path} exists: name another file, or delete it")
    check_writable(path)
    return path


@contextmanager
def _run_proxy(
    contract: Contract,
    upstream: Upstream,
    recording_path: Path | None,
    names_to_mask: tuple[str, ...],
    address: tuple[str, int],
    monitor: TrafficMonitor,
) -> Iterator[RunningProxy]:
    settings = JudgeSettings(
        contract_path=str(contract.document.path),
        base_urls=dict(upstream.base_urls),
        recording_path=str(recording_path.absolute()) if recording_path is not None else None,
        names_to_mask=names_to_mask,
    )
    app = RelayApp(upstream, CaptureMemory(), monitor)
    # The server stops first; then what has passed is judged.
    server = run_relay(app, host=address[0], port=address[1])
    with monitor.judge_traffic(settings), server as url:
        yield RunningProxy(contract, url, upstream, monitor, recording_path)
