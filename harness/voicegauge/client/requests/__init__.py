"""Builds requests: maps speech requests to a contract, adds keys, and prints requests as curl commands."""

from voicegauge.client.requests.curl_command import curl_command
from voicegauge.client.requests.http_request import RequestBuilder, bare_request, origin
from voicegauge.client.requests.keys import Credential, client_key, credentials
from voicegauge.client.requests.speech_request import RequestParts, map_speech_request

__all__ = [
    "Credential",
    "RequestBuilder",
    "RequestParts",
    "bare_request",
    "client_key",
    "credentials",
    "curl_command",
    "map_speech_request",
    "origin",
]
