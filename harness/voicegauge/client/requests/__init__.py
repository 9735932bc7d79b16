"""Builds requests: maps speech requests to a contract, adds keys, and prints requests as curl commands."""

from voicegauge.client.requests.curl_command import build_curl_command
from voicegauge.client.requests.http_request import Origin, RequestBuilder, build_request_without_key, parse_origin
from voicegauge.client.requests.idempotency import add_idempotency_key, create_idempotency_key
from voicegauge.client.requests.keys import (
    CREDENTIAL_PLACEHOLDER_PREFIX,
    Credential,
    build_credentials,
    find_missing_key_variables,
    list_secrets,
    read_client_key,
    read_values_by_variable,
    remove_credentials,
    replace_key,
)
from voicegauge.client.requests.speech_request import RequestParts, map_speech_request

__all__ = [
    "CREDENTIAL_PLACEHOLDER_PREFIX",
    "Credential",
    "Origin",
    "RequestBuilder",
    "RequestParts",
    "add_idempotency_key",
    "build_credentials",
    "build_curl_command",
    "build_request_without_key",
    "create_idempotency_key",
    "find_missing_key_variables",
    "list_secrets",
    "map_speech_request",
    "parse_origin",
    "read_client_key",
    "read_values_by_variable",
    "remove_credentials",
    "replace_key",
]
