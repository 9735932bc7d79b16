"""Builds, authenticates and sends the requests of one provider, and tells to which hosts its key is sent.

Requests keep the rate of the account's plan. What goes over the network is sent by `Transport.send`
(`transport/http.py`). The end of streams is detected here, too.
"""

from __future__ import annotations

import asyncio
import copy
import enum
import os
import random
import re
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from http import HTTPStatus
from typing import Final, Literal, NamedTuple, Protocol

from voicegauge.client.http_request import Origin, RequestBuilder, parse_origin
from voicegauge.client.keys import ClientKey, RequestAuthenticator, list_secrets, read_client_key, replace_key
from voicegauge.client.ledger import Ledger
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.extension.provider import PlanLimits
from voicegauge.contract.loading import is_bundled, load_catalogue
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import EventStreamParser, parse_exchange
from voicegauge.errors import TransportError, UnknownNameError, UsageError
from voicegauge.files import read_file
from voicegauge.hosts import build_server_url, is_loopback, to_socket_url
from voicegauge.model.exchange import Exchange, Request
from voicegauge.recording.masking import mask_credentials
from voicegauge.recording.quoted_words import mask_quoted_bytes, mask_undocumented_words
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import Clock, RealClock

# Tells to which hosts a key is sent, and requires the user's consent where no bundled contract names the host.


class KeyDestinations(NamedTuple):
    """The servers that receive the key of one provider."""

    contract: Contract
    """The contract of the provider."""
    server_urls: tuple[str, ...]
    """URLs with scheme, host and port, without a path and a default port."""
    unencrypted_server_urls: tuple[str, ...]
    """Those of `server_urls` that are on another machine and do not use TLS."""
    is_key_set: bool
    """Whether the environment variable of the key is set to more than spaces."""
    is_key_blank: bool
    """Whether the environment variable of the key is set, but only to spaces."""

    def describe(self) -> str:
        """Return one line with the provider, the variable of its key, and the servers.

        If the contract is not a bundled one, the line also names its file.
        """
        variable = " and ".join(self.contract.key_variables)
        lack = f"{self.contract.provider.key_variable} is blank" if self.is_key_blank else f"{variable} is not set"
        key = f"sends the key in {variable} to" if self.is_key_set else f"sends no key ({lack}) to"
        source = "" if is_bundled(self.contract.document.path) else f", as {self.contract.document.path} says"
        return f"{self.contract.id} {key} {', '.join(self.server_urls)}{source}"

    def check_encryption(self) -> None:
        """Check that every server that receives the key is reached through TLS or is on this machine.

        Raises:
            UsageError: the key would be sent unencrypted.
        """
        if self.is_key_set and self.unencrypted_server_urls:
            url = self.unencrypted_server_urls[0]
            raise UsageError(
                f"the key in {self.contract.provider.key_variable} would be sent unencrypted to {url}: "
                f"use {'wss' if url.startswith('ws:') else 'https'}, or pass --allow-insecure-http"
            )


def find_key_destinations(contract: Contract, base_urls: Mapping[str, str]) -> KeyDestinations:
    """Return where the key of a provider is sent.

    Args:
        contract: the contract of the provider.
        base_urls: replacement base URLs by the server's name in the contract; the name "" means every other server.

    Raises:
        UnknownNameError: `base_urls` names a server that the contract does not have.
        UsageError: a base URL is not valid.
    """
    builder = RequestBuilder(contract, base_urls)
    origins = sorted(builder.origins)
    unencrypted = [one for one in origins if one[0] == "http" and not is_loopback(one[1])]

    def describe_origin(origin: Origin) -> str:
        scheme, host, port = origin
        url = build_server_url(host, port, scheme).removesuffix(":443" if scheme == "https" else ":80")
        return to_socket_url(url) if origin in builder.socket_origins else url

    key = os.environ.get(contract.provider.key_variable, "")
    return KeyDestinations(
        contract,
        tuple(map(describe_origin, origins)),
        tuple(map(describe_origin, unencrypted)),
        bool(key.strip()),
        bool(key) and not key.strip(),
    )


ALLOWED_KEYS_VARIABLE = "VOICEGAUGE_ALLOW_KEYS"
"""Environment variable with the pairs of a key's variable and a host that the user allows, separated by spaces."""
_VARIABLE_AND_HOST_PATTERN = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
"""Matches the name of an environment variable, "=", and a host, with its port if it is not the usual one."""


def parse_allowed_key(text: str) -> str:
    """Check a pair of a variable and a host, such as "ACME_KEY=api.acme.example:8443", and return it.

    So that equal pairs are equal texts, the host is in lower case, and port 443 is left out.

    Raises:
        UsageError: `text` is not such a pair.
    """
    pair = _VARIABLE_AND_HOST_PATTERN.fullmatch(text.strip())
    if pair is None:
        raise UsageError("write VARIABLE=HOST[:PORT], such as ACME_KEY=api.acme.example")
    variable, host, port = pair.groups()
    return f"{variable}={host.lower()}{port or ''}".removesuffix(":443")


def read_permitted_key(
    contract: Contract, base_urls: Mapping[str, str], allowed_keys: Collection[str]
) -> ClientKey | None:
    """Check that the API key of a provider may go to the hosts that will receive it, and return it.

    Return `None` if the key is optional and not set; see `read_client_key`.

    Raises:
        MissingKeyError: the key, or a value that is sent along with it, is not set.
        UsageError: see `check_key_consent`; or the key has characters that a header cannot contain.
    """
    check_key_consent(contract, base_urls, allowed_keys)
    return read_client_key(contract)


def check_key_consent(contract: Contract, base_urls: Mapping[str, str], allowed_keys: Collection[str]) -> None:
    """Check that every host that would receive a key of a contract is allowed to receive it.

    A host is allowed for the variable of a key by a bundled contract, by `allowed_keys`, or if it is a server on this
    machine that the user names as base URL. Every server that the user names may receive the keys of a bundled
    contract. A variable that is not set needs no consent.

    Args:
        contract: the contract of the provider.
        base_urls: replacement base URLs by the server's name in the contract; the name "" means every other server.
        allowed_keys: pairs that the user allows, as `parse_allowed_key` reads them.

    Raises:
        UsageError: a pair is not allowed; the message says how to allow it.
    """
    if is_bundled(contract.document.path):
        return
    named_origins = {parse_origin(url) for url in base_urls.values()}
    allowed = {parse_allowed_key(text) for text in allowed_keys}
    origins = sorted(
        one for one in RequestBuilder(contract, base_urls).origins if not (one in named_origins and is_loopback(one[1]))
    )
    refused: dict[str, list[str]] = {}
    for variable in contract.key_variables if origins else ():
        if not os.environ.get(variable, "").strip():
            continue
        bundled = _find_bundled_origins(variable)
        # A key that a bundled contract sends to a host was set for that host.
        hosts = [_format_host(one) for one in origins if not any(one in known for known in bundled.values())]
        hosts = [host for host in hosts if f"{variable}={host}" not in allowed]
        if hosts:
            owner = f" (the key of {', '.join(bundled)})" if bundled else ""
            refused[f"{variable}{owner} to {', '.join(hosts)}"] = [f"--allow-key {variable}={host}" for host in hosts]
    if refused:
        flags = " ".join(flag for flags in refused.values() for flag in flags)
        raise UsageError(
            f"{contract.document.path} sends the key in {' and '.join(refused)}, which no bundled contract does: "
            f"if you trust it with that key, pass {flags}, or set {ALLOWED_KEYS_VARIABLE}"
        )


def _find_bundled_origins(variable: str) -> Mapping[str, frozenset[Origin]]:
    """Return the origins to which bundled contracts send the key in a variable, by provider."""
    origins_by_provider = {}
    for provider, path in load_catalogue().bundled_paths.items():
        if variable.encode() in read_file(path):  # loading all of them takes a second
            contract = load_catalogue().find_provider(provider)
            if variable in contract.key_variables:
                origins_by_provider[provider] = RequestBuilder(contract, {}).origins
    return origins_by_provider


def _format_host(origin: Origin) -> str:
    scheme, host, port = origin
    return build_server_url(host, port, scheme).partition("://")[2].removesuffix(":443")


# Detects the end of an event stream while the stream arrives.


class StreamEndDetector:
    """Reads one streamed response, chunk by chunk, to detect its end."""

    def __init__(self, stream_spec: StreamSpec) -> None:
        """Create a detector that reads the events of a stream as `stream_spec` describes them."""
        self._spec, self._reader, self._size_bytes = stream_spec, EventStreamParser(stream_spec), 0

    def __call__(self, chunk: bytes) -> bool:
        """Read `chunk`; return whether the stream is complete or cannot be read any further."""
        self._reader.feed_chunk(chunk)
        self._size_bytes += len(chunk)
        return self._reader.is_complete or self._reader.error is not None

    def store_parsed_events(self, exchange: Exchange) -> None:
        """Store the parsed events with `exchange`, so that later readers do not parse them again.

        Nothing is stored if the detector was not given all chunks, as for a compressed response or one of a server in
        this process.
        """
        if self._size_bytes == len(exchange.response.body):
            self._reader.finish()
            parse_exchange(exchange).store_stream(self._spec, self._reader)


# Delays requests to respect the rate limit of an account's plan, in requests per minute.


RATE_LIMIT_WINDOW_S = 60.0
"""Length of the window in seconds, because plans state requests per minute. Providers may count in fixed or sliding
windows; a sliding window satisfies both."""


class RateLimiter:
    """Delays requests so that no window of 60 seconds has more requests than a plan allows.

    A burst up to the limit passes without delay. Requests pass in the order of their arrival. A rate limiter belongs
    to one account and one event loop.
    """

    def __init__(self, requests_per_minute: int, clock: Clock | None = None) -> None:
        """Allow `requests_per_minute`, measured by `clock`; `None` for the real clock."""
        self.requests_per_minute = requests_per_minute
        self._clock: Clock = clock or RealClock()
        self._request_times_s: deque[float] = deque(maxlen=requests_per_minute)
        """Times of the last requests, at most as many as one window may have."""
        self._queue = asyncio.Lock()

    async def wait_for_request(self) -> None:
        """Wait until one more request may be sent, and count that request."""
        async with self._queue:
            # The lock makes requests pass in order, and it is held during the wait: without it, all that wait would
            # wake at the same time and exceed the limit. The window slides, because a fixed minute allows twice the
            # limit around its end.
            if len(self._request_times_s) == self._request_times_s.maxlen:
                remaining_s = self._request_times_s[0] + RATE_LIMIT_WINDOW_S - self._clock.monotonic()
                if remaining_s > 0:
                    await self._clock.sleep(remaining_s)
            self._request_times_s.append(self._clock.monotonic())


def find_account_plan_limits(contracts: Iterable[Contract], plan_names: Collection[str] = ()) -> dict[str, PlanLimits]:
    """Return the limits of the user's plan with each provider, by provider id.

    Args:
        contracts: the contracts of the providers.
        plan_names: names of the user's plans. For a provider without a named plan, the first plan of its contract
            counts.

    Raises:
        UnknownNameError: no contract has a plan of a given name.
    """
    limits = {contract.id: contract.limits for contract in contracts}
    known_plans = {name for spec in limits.values() for name in spec.plan_limits}
    for name in plan_names:
        if name not in known_plans:
            raise UnknownNameError("plan", name, known_plans, advice="" if known_plans else "leave out --plan")
    return {provider: spec.find_plan_limits(plan_names) for provider, spec in limits.items()}


def create_rate_limiter(plan_limits: PlanLimits, base_urls: Mapping[str, str]) -> RateLimiter | None:
    """Return a rate limiter that keeps the documented request rate of an account plan.

    The result is `None` if no rate is documented, or if `base_urls` replaces the URLs of the provider's servers.
    """
    return (
        RateLimiter(plan_limits.max_requests_per_minute)
        if plan_limits.max_requests_per_minute and not base_urls
        else None
    )


# Lets a caller observe every request of a client.


class TrafficObserver(Protocol):
    """Observes requests and their responses, whichever method of the client sends them."""

    def must_await_response(self, operation_id: str) -> bool:
        """Whether `observe` must send the requests to an operation, because their response must not be lost."""
        ...

    def note_response(self, exchange: Exchange) -> None:
        """Note the response to a request for which `must_await_response` returned `False`."""
        ...

    async def observe(
        self, request: Request, operation_id: str, send_request: Callable[[], Awaitable[Exchange]]
    ) -> Exchange:
        """Send a request and return its exchange.

        Args:
            request: the request that `send_request` sends.
            operation_id: id of an operation of the contract, or `DOWNLOAD_OPERATION`.
            send_request: sends the request; raises `TransportError` if there is no response.
        """
        ...


# Builds and sends single requests to one provider, with the provider's base URLs and API key.


class ApiKeySentinel(enum.Enum):
    """Default value of parameters for a key: the client's own key is sent. `None` means that no key is sent."""

    USE_CLIENT_KEY = enum.auto()


USE_CLIENT_KEY: Final = ApiKeySentinel.USE_CLIENT_KEY
"""Default of the parameter `key` of methods: the client's own key is sent."""
ApiKeyOrSentinel = str | None | Literal[ApiKeySentinel.USE_CLIENT_KEY]
"""The key to send with a request: another one than the client's, `None` for no key, or the client's own."""
GOLDEN_RATIO_CONJUGATE = (5**0.5 - 1) / 2
"""The golden ratio minus 1. Its multiples, without their whole parts, are spread evenly between 0 and 1."""


class ProviderConnection:
    """Builds and sends requests to one provider, without retries and without following redirects."""

    def __init__(
        self,
        contract: Contract,
        transport: Transport,
        *,
        base_urls: Mapping[str, str] | None = None,
        key: str | None = None,
        clock: Clock | None = None,
        ledger: Ledger | None = None,
        rate_limiter: RateLimiter | None = None,
        seed: int = 0,
        max_wait_s: float | None = None,
        traffic_observer: TrafficObserver | None = None,
        staggers_polls: bool = False,
    ) -> None:
        """Configure the connection; nothing is sent yet.

        Args:
            contract: the contract of the provider.
            transport: an open transport; the caller closes it.
            base_urls: replacement base URLs by the server's name in the contract; the name "" means every other server.
                `None` replaces none.
            key: the API key, as `read_client_key` returns it; `None` sends no key.
            clock: the clock used for waits between polls and retries; `None` for the real clock.
            ledger: the budget from which requests reserve their price; `None` spends without a limit.
            rate_limiter: the rate limiter of the account; `None` sends requests without delay.
            seed: seed of the random jitter in retry waits.
            max_wait_s: maximum time of one delivery in seconds; `None` for as long as the contract documents.
            traffic_observer: observes every request; `None` for no observer.
            staggers_polls: whether the wait before the first poll is extended for each job by a different fraction of
                its length. Many similar jobs are then polled at different ages, which shows more precisely when such
                jobs end.

        Raises:
            UnknownNameError: `base_urls` names a server that the contract does not have.
            UsageError: a base URL is not valid.
        """
        self.contract, self.transport = contract, transport
        self.clock: Clock = clock or RealClock()
        self.retry_random = random.Random(seed)  # noqa: S311 - retry jitter, not a secret
        self._builder = RequestBuilder(contract, base_urls or {})
        self._key, self._ledger, self._rate_limiter = key, ledger, rate_limiter
        self._authenticator = RequestAuthenticator(contract, transport, self.clock, self._builder.replace_base_url)
        self.max_wait_s, self.staggers_polls = max_wait_s, staggers_polls
        self._first_poll_delay_fraction = random.Random(seed).random()  # noqa: S311 - a schedule, not a secret
        self._traffic_observer = traffic_observer

    def choose_first_wait_extension_fraction(self) -> float:
        """Return the fraction of its length by which the wait before the first poll of the next job is extended.

        The result is from 0 to 1; it is 0 if polls are not staggered. The fractions of consecutive jobs are spread
        evenly: each is the previous one plus the golden ratio, without the whole part.
        """
        if not self.staggers_polls:
            return 0.0
        self._first_poll_delay_fraction = (self._first_poll_delay_fraction + GOLDEN_RATIO_CONJUGATE) % 1
        return self._first_poll_delay_fraction

    async def prepare_connections(self, operation: Operation, count: int) -> None:
        """Open connections to the server of `operation` until `count` are idle."""
        await self.transport.prepare_connections(self._builder.get_server_url(operation), count)

    @property
    def origins(self) -> frozenset[tuple[str, str, int]]:
        """Scheme, host and port of every server of the provider. Only these servers receive the key."""
        return self._builder.origins

    def is_provider_url(self, url: str) -> bool:
        """Whether `url` is on one of the servers of the provider."""
        return parse_origin(url) in self.origins

    @property
    def key(self) -> str | None:
        """The API key; `None` if none is sent."""
        return self._key

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key and the values that are sent along with it. They must not be written to any output."""
        return list_secrets(self._key)

    def mask_secrets(self, text: str) -> str:
        """Return `text` with the key, and anything that looks like a credential, masked."""
        return mask_credentials(text, self.secrets)

    def mask_quotation(self, exchange: Exchange, text: str) -> str:
        """Return `text`, which quotes `exchange`, without secrets and undocumented words that could be one."""
        return mask_undocumented_words(self.contract, [exchange], self.mask_secrets(text))

    def build_request(
        self,
        operation: Operation,
        request_parts: RequestParts,
        *,
        key: ApiKeyOrSentinel = USE_CLIENT_KEY,
        url: str | None = None,
        server_name: str | None = None,
    ) -> Request:
        """Build the HTTP request of `operation`.

        Args:
            operation: an operation of this provider's contract.
            request_parts: values of the operation's parameters and body.
            key: replaces the configured key; `None` sends no key.
            url: replaces the operation's URL, unless it is `None`; a URL outside `origins` gets no key.
            server_name: `x-name` of the server to use; `None` for the operation's own.

        Raises:
            UsageError: a value cannot be sent.
        """
        if key is ApiKeySentinel.USE_CLIENT_KEY:
            key = self._key
        elif key is not None:
            key = replace_key(self._key, key)
        if key is not None:
            key = self._authenticator.get_key_or_placeholder(operation, key)
        if server_name is not None:
            url = self._builder.build_url(operation, request_parts.path_parameters, server_name)
        return self._builder.build_request(operation, request_parts, key, url=url)

    async def wait_for_rate_limit(self, operation: Operation) -> None:
        """Wait until the account's plan allows one more request.

        Status requests are not counted, because providers limit jobs per minute, and because a delayed poll would
        distort the measured times of the job.
        """
        if self._rate_limiter is not None and operation.job is None:
            await self._rate_limiter.wait_for_request()

    async def send(
        self,
        request: Request,
        operation_id: str,
        *,
        pinned_address: str | None = None,
        max_total_s: float | None = None,
    ) -> Exchange:
        """Send `request` with its credentials, and again with a new token if the provider rejects the token.

        Args:
            request: a request made with `build_request`.
            operation_id: id of an operation of the contract, or `DOWNLOAD_OPERATION`.
            pinned_address: IP address to connect to; `None` resolves the host name.
            max_total_s: limit for the whole exchange in seconds; `None`, or a longer one, leaves that of the transport.

        Raises:
            UsageError: the service that issues access tokens rejects the credentials.
            TransportError: there was no response.
        """
        observer = self._traffic_observer
        if observer is not None and observer.must_await_response(operation_id):
            # The observer sends through a copy without it, or it would be asked for this request again.
            unobserved = copy.copy(self)
            unobserved._traffic_observer = None  # noqa: SLF001 - a copy of this object
            return await observer.observe(
                request,
                operation_id,
                lambda: unobserved.send(request, operation_id, pinned_address=pinned_address, max_total_s=max_total_s),
            )
        has_new_token = False
        operation = self.contract.operations.get(operation_id)
        stream_spec = operation.stream if operation is not None else None
        while True:
            detector = StreamEndDetector(stream_spec) if stream_spec is not None else None
            try:
                exchange = await self.transport.send(
                    await self._authenticator.authenticate(request),
                    provider_id=self.contract.id,
                    operation_id=operation_id,
                    pinned_address=pinned_address,
                    detect_stream_end=detector,
                    max_total_s=max_total_s,
                )
            except TransportError as error:
                # The message may quote a response that breaks the protocol. Without the cause, which quotes it too.
                error.args = (self.mask_secrets(mask_quoted_bytes(str(error))),)
                raise error from None
            exchange = self._authenticator.hide_credentials(exchange, request)
            if detector is not None:
                detector.store_parsed_events(exchange)
            is_rejected = exchange.response.status == HTTPStatus.UNAUTHORIZED
            if has_new_token or not (is_rejected and self._authenticator.forget_access_token(request)):
                if observer is not None:
                    observer.note_response(exchange)
                return exchange
            # The provider has ended the token early. It rejected the request, so it charged nothing.
            has_new_token = True

    async def send_operation(
        self,
        operation: Operation,
        request_parts: RequestParts,
        *,
        key: ApiKeyOrSentinel = USE_CLIENT_KEY,
    ) -> Exchange:
        """Build one request, wait for the rate limit, and send it.

        Args:
            operation: an operation of this provider's contract.
            request_parts: values of the operation's parameters and body.
            key: replaces the configured key; `None` sends no key.

        Raises:
            UsageError: a value in `request_parts` cannot be sent; nothing was sent.
            TransportError: there was no response.
        """
        request = self.build_request(operation, request_parts, key=key)
        await self.wait_for_rate_limit(operation)
        return await self.send(request, operation.id)
