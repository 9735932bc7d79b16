"""Issues OAuth 2 access tokens for client credentials (RFC 6749, section 4.4)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from voicegauge.contract import Contract
from voicegauge.emulator.http import IncomingRequest

ACCESS_TOKEN_LIFETIME_S = 3600
MAX_STORED_ACCESS_TOKENS = 10_000
"""Maximum number of valid tokens; older ones are forgotten, so that memory stays bounded."""


class AccessTokens:
    """The access tokens of one emulated provider."""

    def __init__(self, contract: Contract, rejected_key_prefix: str) -> None:
        """Start without tokens; client secrets that begin with `rejected_key_prefix` get none."""
        self._rejected_key_prefix = rejected_key_prefix
        self._issued: dict[str, tuple[str, float]] = {}
        """The client secret and the end of validity by token."""
        flows = [scheme.get("flows", {}) for scheme in contract.security_schemes.values()]
        urls = [flow["clientCredentials"].get("tokenUrl", "") for flow in flows if "clientCredentials" in flow]
        self._paths = {_find_path_below_server(contract, url) for url in urls}

    def responds_to(self, incoming_request: IncomingRequest) -> bool:
        """Whether a request asks for an access token."""
        return incoming_request.method == "POST" and incoming_request.path in self._paths

    def respond(self, incoming_request: IncomingRequest, now_s: float) -> tuple[int, Mapping[str, Any]]:
        """Return the status and the JSON body of the response to a request for a token."""
        fields = dict(parse_qsl(incoming_request.body.decode(errors="replace")))
        if fields.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        secret = _read_client_secret(incoming_request, fields)
        if not secret or secret.startswith(self._rejected_key_prefix):
            return 401, {"error": "invalid_client"}
        token = secrets.token_urlsafe(24)
        self._issued[token] = (secret, now_s + ACCESS_TOKEN_LIFETIME_S)
        if len(self._issued) > MAX_STORED_ACCESS_TOKENS:
            del self._issued[next(iter(self._issued))]
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": ACCESS_TOKEN_LIFETIME_S}

    def find_client_secret(self, token: str, now_s: float) -> str | None:
        """Return the client secret for which a token was issued; `None` for an unknown or expired token."""
        secret, ends_at_s = self._issued.get(token, (None, 0.0))
        return secret if now_s < ends_at_s else None


def _find_path_below_server(contract: Contract, url: str) -> str:
    """Return the path of `url` below the base URL of its server; the whole path if no server has this URL."""
    bases = [server.url for server in contract.servers.values() if f"{url}/".startswith(f"{server.url}/")]
    return urlsplit(url).path if not bases else url.removeprefix(max(bases, key=len))


def _read_client_secret(incoming_request: IncomingRequest, fields: Mapping[str, str]) -> str | None:
    """Return the secret from Basic authentication or from the form; `None` without an id or a secret."""
    kind, _, encoded = (incoming_request.find_header("authorization") or "").partition(" ")
    client_id, secret = fields.get("client_id", ""), fields.get("client_secret", "")
    if kind.lower() == "basic":
        try:
            pair = base64.b64decode(encoded).decode()
        except ValueError:
            return None
        client_id, secret = (unquote(part) for part in pair.partition(":")[::2])
    return secret if client_id and secret else None
