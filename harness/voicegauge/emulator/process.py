"""The settings of an emulator, and the process that runs with them, with a certificate of its own if it uses TLS.

Some client libraries accept no other URL than https or wss. They trust the emulator if they trust its authority, which
most do by the environment variable SSL_CERT_FILE.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.emulator.client_findings import ClientFinding, ClientFindings
from voicegauge.errors import MissingExtraError, UnknownNameError, UsageError
from voicegauge.hosts import build_server_url
from voicegauge.model.base import Record
from voicegauge.model.exchange import Exchange

SCENARIO_HEADER = "X-Voicegauge-Scenario"
"""Request header that selects the response. Its value is a rejection reason, optionally with a field
("rate-limited", "invalid:text"), or "state:" with the state that a job must end in ("state:FAILED")."""


STATE_SCENARIO_PREFIX = "state:"
"""Prefix of scenario header values that name the final state of a job or the final event of a stream."""

SERVER_HEADER_VALUE = "voicegauge-emulator"
"""Value of the `Server` header of every response, so that emulated traffic is never mistaken for a provider's."""
EMULATED_WEBHOOK_SECRET = "ZW11bGF0ZWQtd2ViaG9vay1zZWNyZXQ="  # noqa: S105 - of no account
"""The secret that signs callbacks if the environment has none. It can be read as text and as base64."""
EMULATED_SIGNING_KEYS = ("emulated-key", "another-emulated-key", "any-key")
"""Secret keys that clients may sign requests with, in addition to the one in the environment. The emulator accepts any
other kind of key, but it can verify a signature only if it knows the key."""
CONTROL_PREFIX = "/_emulator"
"""Prefix of the emulator's own routes: reset, clock, state, journal, faults, health, media."""


class EmulatorSettings(Record, frozen=True, kw_only=True):
    """The settings with which an emulator is started."""

    seed: int = 0
    """Seed of ids and jitter. With the same seed, the same requests in the same order get the same responses."""
    clock: Literal["real", "virtual", "per-poll"] = "real"
    """How the emulator's time advances. A "virtual" clock moves only when it is advanced through the control
    route. With "per-poll", nothing takes time, and each status request moves its job to the next state."""
    time_scale: float = 1.0
    """Factor for all emulated durations: 0.1 is ten times faster, 0 is immediate."""
    faults: tuple[str, ...] = ()
    """Faults to inject: "id", "id@provider", "id@provider/target" or "id@provider/operation"."""
    account_plan: str | None = None
    """Account plan whose limits apply. By default, and for providers without this plan, the plan with the highest
    request rate applies."""
    credits: float | None = None
    """Initial balance of every account. If it is `None`, `x-provider.credits.free_credits` of the contract is used;
    without that, the balance is unlimited."""
    accepts_http_webhook_urls: bool = False
    """Whether plain http webhook URLs to this machine are accepted even where the contract requires https."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts other than this machine that callbacks may be sent to; callbacks to any other host are dropped."""
    enforces_rate_limits: bool = True
    """Whether rate and concurrency limits are enforced. Headers with rate limits are sent in either case."""


def is_emulated(exchange: Exchange) -> bool:
    """Whether the emulator sent the response of `exchange`, according to the `Server` header.

    Such an exchange never counts as recorded, even if it came through a proxy or a custom base URL.
    """
    return exchange.response.find_header("server") == SERVER_HEADER_VALUE


class ServerCertificate(NamedTuple):
    """The TLS certificate of a server, and that of the authority which signed it."""

    ssl_context: ssl.SSLContext
    authority_file: Path
    """The certificate of the authority, in PEM format. It has no private key."""


def require_tls() -> None:
    """Check that certificates can be made.

    Raises:
        MissingExtraError: the extra `emulator` is not installed.
    """
    if importlib.util.find_spec("trustme") is None:
        raise MissingExtraError("trustme, which makes the certificates of the emulator,", "emulator")


@contextlib.contextmanager
def create_server_certificate(host: str) -> Iterator[ServerCertificate]:
    """Create an authority, and a certificate for `host`, the network name of this machine, and localhost.

    Both are new each time and never written, except for the authority's certificate, whose file is deleted at the end.

    Raises:
        MissingExtraError: the extra `emulator` is not installed.
    """
    require_tls()
    import trustme

    authority = trustme.CA(organization_name="voicegauge emulator")
    names = dict.fromkeys(("localhost", "127.0.0.1", "::1", socket.gethostname(), host))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, organization_name="voicegauge emulator").configure_cert(context)
    with tempfile.TemporaryDirectory(prefix="voicegauge-tls-") as folder:
        path = Path(folder) / "authority.pem"
        path.write_bytes(authority.cert_pem.bytes())
        yield ServerCertificate(context, path)


MIN_OPEN_FILES = 128
"""Number of files and connections that this process and the emulator must each be able to have open at once: one for
each request in flight, of which checks and benchmarks have up to 64, and about twenty others."""


def _require_open_files() -> None:
    """Check that enough files may be open at once.

    With fewer, the emulator would answer 500 to some requests, which would be blamed on the provider.

    Raises:
        UsageError: the limit of this process is below `MIN_OPEN_FILES`.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY and limit < MIN_OPEN_FILES:
        raise UsageError(
            f"too many open files: only {limit} may be open at once: raise the limit with `ulimit -n {MIN_OPEN_FILES}`"
        )


START_TIMEOUT_S = 60.0
"""Maximum time in seconds for the start of the process, which takes about 1 s, but much longer on a busy machine."""
STOP_TIMEOUT_S = 10.0
"""Time in seconds that the process has to end by itself, or to answer a control route."""
CLIENT_END_TIMEOUT_S = 2.0
"""Time in seconds that the connections of clients have to end before their clients are judged."""


class EmulatorProcessConfig(Record, frozen=True, kw_only=True):
    """Configuration of the subprocess: one line of JSON on its standard input."""

    contract_paths: tuple[str, ...]
    """Paths of the contract documents."""
    settings: EmulatorSettings
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 0
    """Port to listen on; 0 selects a free one."""
    uses_tls: bool = False
    """Whether to answer https and wss, with a certificate that is made for this process."""


class EmulatorStartupMessage(Record, frozen=True, kw_only=True):
    """The result of starting the emulator: one line of JSON that the subprocess writes to its standard output."""

    port: int = 0
    """Port on which the emulator listens; 0 if it did not start."""
    provider_ids: tuple[str, ...] = ()
    """Ids of the emulated providers."""
    authority_path: str | None = None
    """File with the certificate that clients must trust; `None` without TLS."""
    error_message: str | None = None
    """The reason why the emulator did not start; `None` if it has started."""


class RunningEmulator:
    """A running emulator and its URLs."""

    def __init__(
        self,
        host: str,
        port: int,
        provider_ids: tuple[str, ...],
        settings: EmulatorSettings | None = None,
        *,
        authority_file: Path | None = None,
    ) -> None:
        """Describe the emulator that listens on `host` and `port`, and was started with `settings`.

        `None` as `settings` stands for the defaults. `authority_file` sets that attribute; `None` without TLS.
        """
        self.host, self.port, self.providers = host, port, provider_ids
        self.settings = settings or EmulatorSettings()
        self.authority_file = authority_file
        """File with the certificate that clients must trust, in PEM format: most clients find it by the environment
        variable SSL_CERT_FILE. `None` without TLS."""

    @property
    def url(self) -> str:
        """Root URL: http://host:port, or https with TLS."""
        return build_server_url(self.host, self.port, "https" if self.authority_file else "http")

    @property
    def control_url(self) -> str:
        """URL prefix of the control routes."""
        return self.url + CONTROL_PREFIX

    def list_client_findings(self, timeout_s: float = CLIENT_END_TIMEOUT_S) -> tuple[ClientFinding, ...]:
        """Return what clients of WebSockets did wrong.

        Args:
            timeout_s: how long to wait for open connections to end, in seconds. Only then are contexts and texts known
                that a client has not finished.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            found = msgspec.json.decode(self._request_control_route("client-findings"), type=ClientFindings)
            if not found.open_connection_count or time.monotonic() >= deadline_s:
                return found.findings
            time.sleep(0.02)

    def _request_control_route(self, control_route: str) -> bytes:
        """Return the response of a control route. The user's HTTP proxy is not for this machine, so none is used."""
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self.authority_file is not None:
            context = ssl.create_default_context(cafile=str(self.authority_file))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        with urllib.request.build_opener(*handlers).open(
            f"{self.control_url}/{control_route}", timeout=STOP_TIMEOUT_S
        ) as found:
            content: bytes = found.read()
            return content

    def base_url(self, provider_id: str) -> str:
        """Return the base URL that replaces all servers of a provider.

        Raises:
            UnknownNameError: the provider is not emulated here.
        """
        if provider_id not in self.providers:
            raise UnknownNameError("provider", provider_id, self.providers, where="to this emulator")
        return f"{self.url}/{provider_id}"


@contextlib.contextmanager
def running_emulator(
    contracts: Iterable[Contract | Path],
    settings: EmulatorSettings | None = None,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    tls: bool = False,
) -> Iterator[RunningEmulator]:
    """Run an emulator in a subprocess for the duration of the context.

    The subprocess also ends if this process is killed: it watches for the end of its standard input.

    Args:
        contracts: paths of documents, or loaded contracts, whose documents the subprocess reads again.
        settings: settings of the emulator; `None` for the defaults.
        port: port to listen on; 0 selects a free one.
        host: address to listen on.
        tls: whether it answers https and wss instead of http and ws.

    Yields:
        The running emulator, with its URLs.

    Raises:
        MissingExtraError: the extra `emulator` is not installed.
        UsageError: the emulator does not start, for example because the port is in use, or fewer than
            `MIN_OPEN_FILES` files may be open at once.
    """
    with starting_emulator(contracts, settings, port=port, host=host, tls=tls) as wait_for_emulator:
        yield wait_for_emulator()


@contextlib.contextmanager
def starting_emulator(
    contracts: Iterable[Contract | Path],
    settings: EmulatorSettings | None = None,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    tls: bool = False,
) -> Iterator[Callable[[], RunningEmulator]]:
    """Start an emulator, so that this process can do other work until it runs.

    See `running_emulator` for the arguments; `None` as `settings` stands for the defaults.

    Yields:
        A function that waits until the emulator runs, and raises `UsageError` if it does not start.

    Raises:
        MissingExtraError: the extra `emulator` is not installed.
        UsageError: this machine lets fewer than `MIN_OPEN_FILES` files be open at once.
    """
    from voicegauge.speech.containers import require_av
    from voicegauge.speech.espeak import require_synthesizer

    # Here, where the error is raised with its type: the other process can only send a sentence.
    require_synthesizer()
    require_av()
    _require_open_files()
    if tls:
        require_tls()
    files = tuple(str(c.document.path if isinstance(c, Contract) else c) for c in contracts)
    config = EmulatorProcessConfig(
        contract_paths=files, settings=settings or EmulatorSettings(), host=host, port=port, uses_tls=tls
    )
    with _run_emulator_process(config) as wait_for_startup:

        def wait_for_emulator() -> RunningEmulator:
            startup = wait_for_startup()
            authority_file = Path(startup.authority_path) if startup.authority_path is not None else None
            return RunningEmulator(
                host, startup.port, startup.provider_ids, config.settings, authority_file=authority_file
            )

        yield wait_for_emulator


@contextlib.contextmanager
def _run_emulator_process(config: EmulatorProcessConfig) -> Iterator[Callable[[], EmulatorStartupMessage]]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "voicegauge.emulator.app"],  # -P: imports nothing from the current folder
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C must only interrupt this process, which then stops the emulator
        # With an arena for each thread that synthesizes speech, glibc keeps 100 MB more, and nothing is faster.
        env={"MALLOC_ARENA_MAX": "1", **os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the process has ended, which is reported when it is waited for
            process.stdin.write(msgspec.json.encode(config) + b"\n")
            process.stdin.flush()
        yield functools.partial(_wait_for_startup, process)
    finally:
        _stop_process(process)


def _wait_for_startup(process: subprocess.Popen[bytes]) -> EmulatorStartupMessage:
    assert process.stdout is not None
    # Reading a pipe has no time limit of its own; the end of the killed process ends it.
    timeout = threading.Timer(START_TIMEOUT_S, process.kill)
    timeout.daemon = True  # after Ctrl-C during its start, nothing cancels it
    timeout.start()
    try:
        line = process.stdout.readline()
    finally:
        timeout.cancel()
    if not line:
        raise UsageError(f"the emulator did not start (exit status {process.poll()})")
    startup = msgspec.convert(json.loads(line), EmulatorStartupMessage)
    if startup.error_message is not None:
        raise UsageError(startup.error_message)
    return startup


def _stop_process(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
