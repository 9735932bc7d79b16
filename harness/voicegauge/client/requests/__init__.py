"""Builds requests: maps speech requests to a contract, adds keys, and prints requests as curl commands."""

from voicegauge.client.requests.curl_command import curl_command
from voicegauge.client.requests.http_request import Origin, RequestBuilder, build_request_without_key, origin
from voicegauge.client.requests.idempotency import create_idempotency_key, with_idempotency_key
from voicegauge.client.requests.keys import Credential, build_credentials, client_key
from voicegauge.client.requests.speech_request import RequestParts, map_speech_request

__all__ = [
    "Credential",
    "Origin",
    "RequestBuilder",
    "RequestParts",
    "build_credentials",
    "build_request_without_key",
    "client_key",
    "create_idempotency_key",
    "curl_command",
    "map_speech_request",
    "origin",
    "with_idempotency_key",
]
