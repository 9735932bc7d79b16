"""Who sends a request: keys, accounts with their limits, and the journal of requests without their keys."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import math
import os
import re
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.provider import AwsSignature, LimitsSpec, PlanLimits
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output import EmulatedResponse
from voicegauge.emulator._provider_state import RATE_WINDOW_S, BoundedDict, EmulatedAccount, RateWindow
from voicegauge.emulator._request import IncomingRequest, Rejection
from voicegauge.emulator.process import EMULATED_SIGNING_KEYS, SCENARIO_HEADER, EmulatorSettings

# Verifies AWS Signature Version 4 as documented by AWS, without the code that signs the requests of voicegauge.


_AUTHORIZATION_PATTERN = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
"""Matches the Authorization header of a request that is signed for AWS."""
_HEADERS_THAT_MUST_BE_SIGNED = {"host", "x-amz-date"}
"""Headers that a signature must cover, or it is rejected."""


def has_valid_signature(incoming_request: IncomingRequest, aws_signature_spec: AwsSignature, secret_key: str) -> bool:
    """Whether a request was signed with `secret_key` for the region and service of the contract."""
    found = _AUTHORIZATION_PATTERN.fullmatch(incoming_request.find_header("authorization") or "")
    date = incoming_request.find_header("x-amz-date") or ""
    if (
        not found
        or (found["region"], found["service"]) != (aws_signature_spec.region, aws_signature_spec.service)
        or not date.startswith(found["day"])
    ):
        return False
    names = found["names"].split(";")
    # Where a request states the digest of its body, that digest is signed, so it must be the right one.
    payload_digest = hashlib.sha256(incoming_request.body).hexdigest()
    is_other_body = incoming_request.find_header("x-amz-content-sha256") not in (None, payload_digest)
    if is_other_body or not set(names) >= _HEADERS_THAT_MUST_BE_SIGNED:
        return False
    # Spaces around a value do not count, and repeated ones count as one.
    headers = "".join(f"{name}:{' '.join((incoming_request.find_header(name) or '').split())}\n" for name in names)
    path = urlsplit(incoming_request.base_url).path + incoming_request.path
    canonical = "\n".join(
        (
            incoming_request.method,
            quote(path, safe="/-_.~"),  # encoded twice, for every service but S3
            _build_canonical_query(incoming_request),
            headers,
            found["names"],
            payload_digest,
        )
    )
    scope = f"{found['day']}/{aws_signature_spec.region}/{aws_signature_spec.service}/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    # The key of one day, region and service is derived step by step: who learns it cannot sign for another one.
    signing_key = f"AWS4{secret_key}".encode()
    for part in (found["day"], aws_signature_spec.region, aws_signature_spec.service, "aws4_request"):
        signing_key = hmac.digest(signing_key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(signing_key, text.encode(), "sha256").hex(), found["signature"])


def _build_canonical_query(incoming_request: IncomingRequest) -> str:
    """Return the query as it is signed: each name and value encoded again, in the order of the encoded names."""
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(incoming_request.raw_query, keep_blank_values=True)
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


# Issues OAuth 2 access tokens for client credentials (RFC 6749, section 4.4).


REJECTED_KEY_PREFIX = "invalid"
"""Keys and client secrets that begin with this text are rejected; any other is accepted and opens an account."""
ACCESS_TOKEN_LIFETIME_S = 3600
"""Time in seconds for which an access token is valid."""
MAX_STORED_ACCESS_TOKENS = 10_000
"""Maximum number of stored tokens; older ones are forgotten, and no longer valid, so that memory stays bounded."""


class AccessTokens:
    """The access tokens of one emulated provider."""

    def __init__(self, contract: Contract) -> None:
        """Create a store without tokens, for the flows that `contract` documents."""
        self._secret_and_end_by_token = BoundedDict[str, tuple[str, float]](MAX_STORED_ACCESS_TOKENS)
        """The client secret and the end of validity by token."""
        flows = [scheme.get("flows", {}) for scheme in contract.security_schemes.values()]
        urls = [flow["clientCredentials"].get("tokenUrl", "") for flow in flows if "clientCredentials" in flow]
        self._token_paths = {_find_path_below_server(contract, url) for url in urls}

    def responds_to(self, incoming_request: IncomingRequest) -> bool:
        """Whether a request asks for an access token."""
        return incoming_request.method == "POST" and incoming_request.path in self._token_paths

    def respond(self, incoming_request: IncomingRequest, now_s: float) -> tuple[int, Mapping[str, Any]]:
        """Issue a token, unless the request is invalid, and return the status and the JSON body of the response."""
        # The statuses and codes are those of RFC 6749, section 5.2.
        fields = dict(parse_qsl(incoming_request.body.decode(errors="replace")))
        if fields.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        secret = _read_client_secret(incoming_request, fields)
        if not secret or secret.startswith(REJECTED_KEY_PREFIX):
            return 401, {"error": "invalid_client"}
        token = secrets.token_urlsafe(24)
        self._secret_and_end_by_token[token] = (secret, now_s + ACCESS_TOKEN_LIFETIME_S)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": ACCESS_TOKEN_LIFETIME_S}

    def find_client_secret(self, token: str, now_s: float) -> str | None:
        """Return the client secret for which a token was issued; `None` for an unknown or expired token."""
        secret, ends_at_s = self._secret_and_end_by_token.get(token, (None, 0.0))
        return secret if now_s < ends_at_s else None


def _find_path_below_server(contract: Contract, url: str) -> str:
    """Return the path of `url` below the base URL of its server; the whole path if no server has this URL."""
    bases = [server.url for server in contract.servers.values() if f"{url}/".startswith(f"{server.url}/")]
    return urlsplit(url).path if not bases else url.removeprefix(max(bases, key=len))


def _read_client_secret(incoming_request: IncomingRequest, form_fields: Mapping[str, str]) -> str | None:
    """Return the client secret in Basic authentication or in the form; `None` without an id or a secret."""
    # A client may use either way (RFC 6749, section 2.3.1).
    kind, _, encoded = (incoming_request.find_header("authorization") or "").partition(" ")
    client_id, secret = form_fields.get("client_id", ""), form_fields.get("client_secret", "")
    if kind.lower() == "basic":
        try:
            pair = base64.b64decode(encoded).decode()
        except ValueError:
            return None
        client_id, secret = (unquote(part) for part in pair.partition(":")[::2])
    return secret if client_id and secret else None


# Keeps the accounts of an emulated provider: their balances, rate windows and keyless allowances.


SECONDS_PER_DAY = 86_400.0
MAX_STORED_ACCOUNTS = 10_000
"""Maximum number of accounts; older accounts are forgotten, so that memory stays bounded."""


class AccountRegistry:
    """The accounts of one provider, which are found by API key or client address."""

    def __init__(self, contract: Contract, settings: EmulatorSettings) -> None:
        """Create a registry without accounts; the first request with a key opens the key's account."""
        self._contract, self._settings = contract, settings
        self._account_by_name = BoundedDict[str, EmulatedAccount](MAX_STORED_ACCOUNTS)
        self.access_tokens = AccessTokens(contract)

    def __iter__(self) -> Iterator[EmulatedAccount]:
        """Iterate over the accounts opened so far."""
        return iter(self._account_by_name.values())

    def identify_account(
        self, incoming_request: IncomingRequest, operation: Operation, now_s: float, *, is_key_enforced: bool = True
    ) -> EmulatedAccount:
        """Return the account of a request's key, or else of its client address; the first request opens the account.

        Raises:
            Rejection: `is_key_enforced` is set, and a required key is missing or the key is rejected.
        """
        key = self._find_api_key(operation, incoming_request, now_s)
        if key is None and operation.security and not allows_keyless_requests(operation) and is_key_enforced:
            raise Rejection("unauthorized", None, "no API key was sent")
        if key is not None and key.startswith(REJECTED_KEY_PREFIX) and is_key_enforced:
            raise Rejection("unauthorized", "key", "the API key is not valid")
        # Without a key, each address has an account, since the daily allowance is one for each client.
        name = key or f"keyless:{incoming_request.client_address}"
        if name not in self._account_by_name:
            credits, documented = self._settings.credits, self._contract.provider.credits
            if credits is None and documented is not None:
                credits = documented.free_credits
            self._account_by_name[name] = EmulatedAccount(name, key is None, credits)
        return self._account_by_name[name]

    def _find_api_key(self, operation: Operation, incoming_request: IncomingRequest, now_s: float) -> str | None:
        """Return the API key in a request; `None` if it has no key.

        If the operation documents alternative ways to authenticate, the first one for which the request has all
        values counts.
        """
        for alternative in operation.security:
            keys = {name: self._read_key_of_security_scheme(name, incoming_request, now_s) for name in alternative}
            if keys and all(keys.values()):
                # Other schemes send what belongs to the key, such as a user id.
                main_keys = (key for name, key in keys.items() if self._contract.key_specs[name].key_variable is None)
                return next(main_keys, next(iter(keys.values())))
        return None

    def _read_key_of_security_scheme(
        self, security_scheme_name: str, incoming_request: IncomingRequest, now_s: float
    ) -> str | None:
        scheme = self._contract.security_schemes[security_scheme_name]
        key_spec = self._contract.key_specs[security_scheme_name]
        if key_spec.aws_signature is not None:
            own = os.environ.get(key_spec.key_variable or self._contract.provider.key_variable, "").strip()
            # A signature does not say which key made it: each key that a client may have is tried.
            keys = (*([own] if own else []), *EMULATED_SIGNING_KEYS)
            valid = (key for key in keys if has_valid_signature(incoming_request, key_spec.aws_signature, key))
            return next(valid, None)
        if scheme.get("type") == "oauth2":
            kind, _, token = (incoming_request.find_header("authorization") or "").partition(" ")
            return self.access_tokens.find_client_secret(token.strip(), now_s) if kind.lower() == "bearer" else None
        return _read_api_key_or_token(scheme, key_spec.key_prefix, incoming_request)

    def find_plan_limits(self, limits_spec: LimitsSpec) -> PlanLimits:
        """Return the limits of the plan that the settings name.

        If the provider does not have that plan, return the limits of the plan with the highest request rate. If the
        provider has no plans, the result contains no limits.
        """
        if self._settings.account_plan in limits_spec.plan_limits:
            return limits_spec.plan_limits[str(self._settings.account_plan)]
        return max(
            limits_spec.plan_limits.values(), key=lambda plan: plan.max_requests_per_minute or 0, default=PlanLimits()
        )

    def count_request(self, account: EmulatedAccount, operation: Operation, now_s: float) -> None:
        """Count a request in the account's rate window.

        Raises:
            Rejection: the rate limit or the limit of concurrent requests is exceeded.
        """
        plan = self.find_plan_limits(operation.limits)
        account.rate_window.restart_if_ended(now_s)
        per_minute, at_once = plan.max_requests_per_minute, plan.max_concurrent_requests
        if self._settings.enforces_rate_limits:
            if per_minute is not None and account.rate_window.request_count >= per_minute:
                raise Rejection("rate-limited", None, f"more than {per_minute} requests per minute")
            if at_once is not None and account.requests_in_flight_count >= at_once:
                raise Rejection("rate-limited", "concurrent", f"more than {at_once} requests at once")
        account.rate_window.request_count += 1  # last, so that a rejected request does not fill the window

    def count_keyless_characters(
        self, account: EmulatedAccount, operation: Operation, character_count: int, now_s: float
    ) -> None:
        """Count `character_count` against the daily allowance of requests without a key, if this is one.

        Raises:
            Rejection: the daily allowance is exceeded.
        """
        allowance = operation.limits.keyless_limits
        if not account.is_keyless or allowance is None:
            return
        day = int(now_s // SECONDS_PER_DAY)
        if account.keyless_allowance_day != day:  # the allowance begins again at midnight, UTC
            account.keyless_allowance_day, account.keyless_character_count = day, 0
        if account.keyless_character_count + character_count > allowance.max_characters_per_day:
            detail = f"more than {allowance.max_characters_per_day} characters per day"
            raise Rejection("rate-limited", "keyless", detail)
        account.keyless_character_count += character_count

    def get_remaining_balance(self, account: EmulatedAccount, operation: Operation) -> float | None:
        """Return the balance, in the unit of `EmulatedAccount.credit_balance`; `None` if it is unlimited.

        For a keyless account with an allowance, return the characters that are left today.
        """
        allowance = operation.limits.keyless_limits
        if account.is_keyless and allowance is not None:
            return float(allowance.max_characters_per_day - account.keyless_character_count)
        return account.credit_balance

    def compute_rate_limit_values(
        self, account: EmulatedAccount | None, operation: Operation, now_s: float
    ) -> Mapping[str, int]:
        """Return the values of rate-limit headers by the role of the header in `x-limits.rate_limit_header_names`.

        The value for "reset" is a Unix time in seconds, that for "retry_after" a number of seconds. `account` is `None`
        if the request was rejected before its account was known: then no request is counted.
        """
        plan = self.find_plan_limits(operation.limits)
        window = account.rate_window if account is not None else RateWindow()
        # At least 1, since `Retry-After: 0` would invite a client to try again at once, in the same window.
        ends_in_s = max(1, math.ceil(window.start_s + RATE_WINDOW_S - now_s)) if window.request_count else None
        remaining_s = int(RATE_WINDOW_S) if ends_in_s is None else ends_in_s
        facts = {"retry_after": remaining_s, "reset": math.ceil(now_s + remaining_s)}
        if plan.max_requests_per_minute is not None:
            facts["limit"] = plan.max_requests_per_minute
            facts["remaining"] = max(0, plan.max_requests_per_minute - window.request_count)
        return facts


def allows_keyless_requests(operation: Operation) -> bool:
    """Whether `operation`, or one of its targets, can be used without a key."""
    targets = operation.speech.targets.values() if operation.speech else ()
    return not operation.needs_key or any(target.works_without_key for target in targets)


def _read_api_key_or_token(
    security_scheme: Mapping[str, Any], key_prefix: str, incoming_request: IncomingRequest
) -> str | None:
    if security_scheme.get("type") == "apiKey":
        place, name = str(security_scheme.get("in")), str(security_scheme.get("name", ""))
        value = _read_credential(place, name, incoming_request) or ""
        return value.removeprefix(key_prefix).strip() or None if value.startswith(key_prefix) else None
    kind, _, token = (incoming_request.find_header("authorization") or "").partition(" ")
    return token.strip() or None if kind.lower() == str(security_scheme.get("scheme", "bearer")).lower() else None


def _read_credential(credential_location: str, credential_name: str, incoming_request: IncomingRequest) -> str | None:
    if credential_location == "query":
        return incoming_request.query.get(credential_name)
    if credential_location == "cookie":
        try:
            cookies = SimpleCookie(incoming_request.find_header("cookie") or "")
        except CookieError:
            return None
        return cookies[credential_name].value if credential_name in cookies else None
    return incoming_request.find_header(credential_name)


MAX_JOURNAL_ENTRIES = 10_000
"""Maximum number of recorded requests; older ones are dropped."""
MASK_TEXT = "[redacted]"
"""Text that replaces each credential."""
MAX_JOURNAL_BYTES = 32 * 1024 * 1024
"""Maximum memory of all recorded requests, in bytes, as estimated from the sizes of paths, queries and headers."""
_JOURNAL_ENTRY_OVERHEAD_BYTES = 1024
"""Memory, in bytes, that each recorded request takes in addition to its path, query and headers."""
_NAME_AND_VALUE_OVERHEAD_BYTES = 200
"""Memory, in bytes, that each header or query parameter of a request takes in addition to its texts."""
MAX_SECRETS_PER_REQUEST = 20
"""If a request has more credentials than this, none of its texts are shown in the journal. No API takes more, and the
search for each credential in every spelling takes time."""
_CREDENTIAL_NAME_PATTERN = re.compile(
    "key|token|secret|auth|passw|passphrase|credential|sig|cookie|session", re.IGNORECASE
)
"""Matches the names of documented parameters that may contain a credential."""
_MIN_SECRET_LENGTH = 8
"""Minimum length of a credential that is masked within other texts. Shorter keys, which only tests use, would match
parts of ordinary words."""
_UNMASKED_HEADERS = frozenset(
    (
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "expect",
        "host",
        "idempotency-key",
        "origin",
        "range",
        "traceparent",
        "transfer-encoding",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
        SCENARIO_HEADER.lower(),
    )
)
"""Headers whose values are shown although the contract may not document them. Others that are undocumented may contain
a key."""


class RequestJournal:
    """The latest requests to all providers, in the order of their responses."""

    def __init__(self) -> None:
        """Create a journal without recorded requests."""
        self._entries_and_sizes: deque[tuple[dict[str, Any], int]] = deque()
        """The recorded requests, oldest first, each with the memory that it takes, in bytes."""
        self._size_bytes = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over the recorded requests, oldest first."""
        return (entry for entry, _ in self._entries_and_sizes)

    def clear(self) -> None:
        """Remove all recorded requests."""
        self._entries_and_sizes.clear()
        self._size_bytes = 0

    def record_request(
        self, contract: Contract, incoming_request: IncomingRequest, response: EmulatedResponse, now_s: float
    ) -> None:
        """Add a request with masked credentials and without its body; drop the oldest ones above the limits."""
        shown_headers = _find_unmasked_parameter_names(contract, response, "header") | _UNMASKED_HEADERS
        shown_query = _find_unmasked_parameter_names(contract, response, "query")
        secrets = tuple(sorted(set(_find_secrets(contract, incoming_request))))
        entry = {
            "at": now_s,
            "provider": contract.id,
            "method": incoming_request.method,
            "path": _mask_text(secrets, incoming_request.path),
            "query": _mask_values(incoming_request.query, shown_query, secrets),
            "headers": _mask_values(incoming_request.headers, shown_headers, secrets),
            "body_bytes": incoming_request.body_size_bytes,
            "operation": response.operation.id if response.operation else None,
            "target": response.target.id if response.target else None,
            "status": response.status,
            "rejection_reason": response.rejection_reason,
            "job": response.job.id if response.job else None,
        }
        pairs = (*incoming_request.headers.items(), *incoming_request.query.items())
        size_bytes = _JOURNAL_ENTRY_OVERHEAD_BYTES + len(incoming_request.path)
        size_bytes += sum(_NAME_AND_VALUE_OVERHEAD_BYTES + len(name) + len(value) for name, value in pairs)
        self._entries_and_sizes.append((entry, size_bytes))
        self._size_bytes += size_bytes
        while len(self._entries_and_sizes) > MAX_JOURNAL_ENTRIES or self._size_bytes > MAX_JOURNAL_BYTES:
            self._size_bytes -= self._entries_and_sizes.popleft()[1]


def _find_unmasked_parameter_names(
    contract: Contract, response: EmulatedResponse, parameter_kind: str
) -> frozenset[str]:
    """Return the lower-case names of the parameters of one kind, such as "header", whose values are shown.

    These are the documented parameters, except for credentials.
    """
    if response.operation is None:
        return frozenset()
    documented = {p.name.lower() for p in response.operation.parameters if p.message_part == parameter_kind}
    return frozenset(name for name in documented if not _is_credential_parameter(contract, name))


def _is_credential_parameter(contract: Contract, parameter_name: str) -> bool:
    # A name such as "idempotency-key" looks like that of a credential, so the known names come first.
    return parameter_name not in _UNMASKED_HEADERS and (
        parameter_name in _list_key_parameter_names(contract)
        or _CREDENTIAL_NAME_PATTERN.search(parameter_name) is not None
    )


@functools.lru_cache(maxsize=64)
def _list_key_parameter_names(contract: Contract) -> frozenset[str]:
    names = {str(scheme.get("name", "authorization")).lower() for scheme in contract.security_schemes.values()}
    return frozenset(names | {"authorization", "proxy-authorization", "cookie"})


def _find_secrets(contract: Contract, incoming_request: IncomingRequest) -> Iterator[str]:
    """Yield the credentials of a request, and their parts, that are long enough to be masked within other texts."""
    pairs = (*incoming_request.headers.items(), *incoming_request.query.items())
    hidden = [value for name, value in pairs if _is_credential_parameter(contract, name.lower())]
    for value in hidden:
        # "Bearer <key>", and cookies such as "session=<key>; theme=dark"
        for part in (value, *value.replace(";", " ").replace("=", " ").split()):
            if len(part) >= _MIN_SECRET_LENGTH:
                yield part


def _mask_values(
    value_by_name: Mapping[str, str], unmasked_names: Iterable[str], secrets: tuple[str, ...]
) -> dict[str, str]:
    return {
        name: _mask_text(secrets, value) if name.lower() in unmasked_names else MASK_TEXT
        for name, value in value_by_name.items()
    }


def _mask_text(secrets: tuple[str, ...], text: str) -> str:
    if len(secrets) > MAX_SECRETS_PER_REQUEST:
        return MASK_TEXT
    return _compile_secret_pattern(secrets).sub(MASK_TEXT, text) if secrets else text


@functools.lru_cache(maxsize=256)  # most clients send the same key each time
def _compile_secret_pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern for the secrets as plain text, URL-encoded, in hexadecimal or in base64, in any letter case."""
    spellings: list[str] = []
    for secret in secrets:
        data = secret.encode("latin-1")  # as headers are encoded
        spellings += [secret, quote(secret, safe=""), "".join(f"%{byte:02x}" for byte in data), data.hex()]
        spellings += [base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()]
    # A pattern takes the first alternative that matches: a shorter one would leave the rest of a longer one visible.
    longest_first = sorted(spellings, key=len, reverse=True)
    return re.compile("|".join(re.escape(spelling) for spelling in longest_first), re.IGNORECASE)
