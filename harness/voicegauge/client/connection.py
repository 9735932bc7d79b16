"""Sends the requests of one provider with its credentials, and detects the end of streams."""

from __future__ import annotations

import asyncio
import base64
import copy
import enum
import functools
import random
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, Literal, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import msgspec

from voicegauge.client.http_request import RequestBuilder, parse_origin
from voicegauge.client.keys import CREDENTIAL_PLACEHOLDER_PREFIX, list_secrets, read_values_by_variable, replace_key
from voicegauge.client.ledger import Ledger, RateLimiter
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.extension.provider import KeySpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import EventStreamParser, parse_exchange
from voicegauge.errors import TransportError, UsageError
from voicegauge.formats.bodies import UnreadableBodyError, read_json
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.credentials import INVALID_API_KEY, mask_credentials
from voicegauge.recording.quoted_words import mask_quoted_bytes, mask_undocumented_words
from voicegauge.transport.clock import Clock, RealClock
from voicegauge.transport.http import Transport, sign_for_aws

# Adds keys and tokens to requests, and renews tokens.


TOKEN_EXPIRY_MARGIN_S = 30.0
"""A token is replaced this number of seconds before it expires."""
TOKEN_REQUEST_OPERATION_ID = "(access token)"  # noqa: S105 - an operation of no contract


class _ComputedCredentialScheme(NamedTuple):
    """A security scheme whose credential is computed from the key: an access token, or a signature."""

    name: str
    key_spec: KeySpec
    token_url: str | None
    """URL at which OAuth 2 tokens are requested; `None` if the scheme signs requests instead."""
    scopes: tuple[str, ...]


class _Token(NamedTuple):
    access_token: str
    expires_at_s: float


class RequestAuthenticator:
    """Authenticates the requests of one connection at the moment when they are sent."""

    def __init__(
        self, contract: Contract, transport: Transport, clock: Clock, replace_base_url: Callable[[str], str]
    ) -> None:
        """Start without tokens.

        Args:
            contract: the contract of the provider.
            transport: sends the requests for tokens.
            clock: tells when a token has expired.
            replace_base_url: function that puts the base URL that the user has set into a URL of the contract.
        """
        self._contract, self._transport, self._clock = contract, transport, clock
        self._replace_base_url = replace_base_url
        self._uses: dict[str, tuple[str, _ComputedCredentialScheme]] = {}
        """Key and scheme by the text that stands for the credential."""
        self._tokens: dict[str, _Token] = {}
        self._lock = asyncio.Lock()

    def get_key_or_placeholder(self, operation: Operation, key: str) -> str:
        """Return `key`, or a placeholder if `operation` needs a credential that is computed from the key."""
        scheme = _find_computed_credential_scheme(operation)
        if scheme is None or (scheme.token_url is not None and key == INVALID_API_KEY):
            return key
        for text, use in self._uses.items():
            if use == (key, scheme):
                return text
        text = INVALID_API_KEY if key == INVALID_API_KEY else f"{CREDENTIAL_PLACEHOLDER_PREFIX}-{len(self._uses) + 1}"
        self._uses[text] = (key, scheme)
        return text

    async def authenticate(self, request: Request) -> Request:
        """Return the request to send, in which a token or signature replaces the placeholder, if there is one.

        Raises:
            UsageError: the credentials for a token were rejected.
            TransportError: there was no response to the request for a token; the request itself was not sent.
        """
        text = self._find_placeholder(request)
        if text is None:
            return request
        key, scheme = self._uses[text]
        values = read_values_by_variable(self._contract, key)
        secret, key_id = (
            values[variable or self._contract.provider.key_variable]
            for variable in (scheme.key_spec.key_variable, scheme.key_spec.id_variable)
        )
        if scheme.key_spec.aws_signature is not None:
            aws = scheme.key_spec.aws_signature
            return sign_for_aws(
                request, access_key_id=key_id, secret_key=secret, region=aws.region, service=aws.service
            )
        async with self._lock:  # one token for requests that are sent at the same time
            token = self._tokens.get(text)
            if token is None or token.expires_at_s <= self._clock.monotonic():
                token = self._tokens[text] = await self._request_token(scheme, key_id, secret)
        headers = tuple((name, value.replace(text, token.access_token)) for name, value in request.headers)
        return msgspec.structs.replace(request, headers=headers)

    def forget_token(self, request: Request) -> bool:
        """Forget the token of a rejected request; return whether the request had a token."""
        text = self._find_placeholder(request)
        return text is not None and self._tokens.pop(text, None) is not None

    def hide_credentials(self, exchange: Exchange, request_with_placeholder: Request) -> Exchange:
        """Return `exchange` without tokens.

        Its request is replaced by `request_with_placeholder`, and tokens in its response are masked.
        """
        if not self._tokens and exchange.request is request_with_placeholder:
            return exchange
        headers, body = exchange.response.headers, exchange.response.body
        for text, token in self._tokens.items():
            headers = tuple((name, value.replace(token.access_token, text)) for name, value in headers)
            body = body.replace(token.access_token.encode(), text.encode())
        response = exchange.response
        if (headers, body) != (response.headers, response.body):
            response = msgspec.structs.replace(response, headers=headers, body=body)
        return msgspec.structs.replace(exchange, request=request_with_placeholder, response=response)

    def _find_placeholder(self, request: Request) -> str | None:
        value = request.find_header("authorization") or ""
        return next((text for text in self._uses if value.endswith(f" {text}")), None)

    async def _request_token(self, scheme: _ComputedCredentialScheme, client_id: str, client_secret: str) -> _Token:
        assert scheme.token_url is not None, "only called for OAuth 2"
        url = self._replace_base_url(scheme.token_url)
        pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"  # RFC 6749, section 2.3.1
        fields = {"grant_type": "client_credentials"} | ({"scope": " ".join(scheme.scopes)} if scheme.scopes else {})
        request = Request(
            method="POST",
            url=url,
            headers=(
                ("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"),
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("Accept", "application/json"),
            ),
            body=urlencode(fields).encode(),
        )
        try:
            exchange = await self._transport.send(
                request, provider_id=self._contract.id, operation_id=TOKEN_REQUEST_OPERATION_ID
            )
        except TransportError as error:
            shown = mask_credentials(str(error), (client_secret, client_id))
            raise TransportError(f"no access token: {shown}", request_was_sent=False) from None
        token = _read_token(exchange.response, self._clock.monotonic())
        if token is None:
            variables = " and ".join(self._contract.key_variables)
            raise UsageError(
                f"{self._contract.id}: {url} gave no access token (status {exchange.response.status}): "
                f"check {variables}"
            )
        return token


def _read_token(response: Response, now_s: float) -> _Token | None:
    if not 200 <= response.status < 300:
        return None
    try:
        body = read_json(response.body)
    except UnreadableBodyError:
        return None
    text = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text or " " in text:
        return None
    valid_s = body.get("expires_in")
    if isinstance(valid_s, str) and valid_s.isdecimal():  # some services quote the number
        valid_s = float(valid_s)
    is_number = isinstance(valid_s, int | float) and not isinstance(valid_s, bool)
    return _Token(text, now_s + max(float(valid_s) - TOKEN_EXPIRY_MARGIN_S, 0.0) if is_number else float("inf"))


@functools.lru_cache(maxsize=256)
def _find_computed_credential_scheme(operation: Operation) -> _ComputedCredentialScheme | None:
    """Return the scheme whose credential is computed from the key, in the first security requirement of `operation`.

    Return `None` if requests contain the key itself, or no key.
    """
    requirement = next((requirement for requirement in operation.security if requirement), {})
    for name in requirement:
        key, scheme = operation.contract.key_specs[name], operation.contract.security_schemes[name]
        token_url = scheme.get("flows", {}).get("clientCredentials", {}).get("tokenUrl")
        if key.aws_signature is not None or (scheme.get("type") == "oauth2" and token_url):
            return _ComputedCredentialScheme(name, key, token_url, tuple(requirement[name]))
    return None


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


def create_stream_end_detector(contract: Contract, operation_id: str) -> StreamEndDetector | None:
    """Return a detector for one response of an operation; `None` if its responses are not event streams."""
    operation = contract.operations.get(operation_id)
    return StreamEndDetector(operation.stream) if operation is not None and operation.stream is not None else None


# Lets a caller observe every request of a client.


class TrafficObserver(Protocol):
    """Observes requests and their responses, whichever method of the client sends them."""

    def must_await_response(self, operation_id: str) -> bool:
        """Whether `observe` must send the requests to an operation, because their response must not be lost."""
        ...

    def note_response(self, exchange: Exchange) -> None:
        """Note the response to any other request."""
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
ApiKeyOrSentinel = str | None | Literal[ApiKeySentinel.USE_CLIENT_KEY]
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
            key: the API key, as `read_client_key` returns it; `None` sends no key.
            clock: the clock used for waits between polls and retries; the real clock by default.
            ledger: the budget from which requests reserve their price; `None` spends without a limit.
            rate_limiter: the rate limiter of the account; `None` sends requests without delay.
            seed: seed of the random jitter in retry waits.
            max_wait_s: maximum time of one delivery in seconds; by default as long as the contract documents.
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
    ) -> Request:
        """Build the HTTP request of `operation`.

        Args:
            operation: an operation of this provider's contract.
            request_parts: values of the operation's parameters and body.
            key: replaces the configured key; `None` sends no key.
            url: replaces the operation's URL; a URL outside `origins` gets no key.

        Raises:
            UsageError: a value cannot be sent.
        """
        if key is ApiKeySentinel.USE_CLIENT_KEY:
            key = self._key
        elif key is not None:
            key = replace_key(self._key, key)
        if key is not None:
            key = self._authenticator.get_key_or_placeholder(operation, key)
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
            pinned_address: IP address to connect to instead of resolving the host name.
            max_total_s: limit for the whole exchange in seconds, if it is shorter than that of the transport.

        Raises:
            TransportError: there was no response.
        """
        observer = self._traffic_observer
        if observer is not None and observer.must_await_response(operation_id):
            unobserved = copy.copy(self)
            unobserved._traffic_observer = None  # noqa: SLF001 - a copy of this object
            return await observer.observe(
                request,
                operation_id,
                lambda: unobserved.send(request, operation_id, pinned_address=pinned_address, max_total_s=max_total_s),
            )
        has_new_token = False
        while True:
            detector = create_stream_end_detector(self.contract, operation_id)
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
            if has_new_token or not (is_rejected and self._authenticator.forget_token(request)):
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
        server_name: str | None = None,
    ) -> Exchange:
        """Build one request, wait for the rate limit, and send it.

        Args:
            operation: an operation of this provider's contract.
            request_parts: values of the operation's parameters and body.
            key: replaces the configured key; `None` sends no key.
            server_name: `x-name` of the server to use instead of the operation's own.

        Raises:
            UsageError: a value in `request_parts` cannot be sent; nothing was sent.
            TransportError: there was no response.
        """
        url = (
            self._builder.build_url(operation, request_parts.path_parameters, server_name)
            if server_name is not None
            else None
        )
        request = self.build_request(operation, request_parts, key=key, url=url)
        await self.wait_for_rate_limit(operation)
        return await self.send(request, operation.id)
