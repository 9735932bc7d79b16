"""Builds the emulator's responses from the contract: bodies, headers, streams and callback payloads."""

from voicegauge.emulator.responses.bodies import (
    STATUS_CODES_BY_REASON,
    default_body,
    error_response,
    success_response,
)
from voicegauge.emulator.responses.builder import ResponseBuilder
from voicegauge.emulator.responses.headers import add_documented_headers
from voicegauge.emulator.responses.response import EmulatedResponse, StreamPiece
from voicegauge.emulator.responses.streams import (
    STATE_SCENARIO_PREFIX,
    StreamPacing,
    audio_length_s,
    requested_end_event,
    send_stream,
    streaming_pace,
)
from voicegauge.emulator.responses.webhook_payloads import (
    EmulatedCallback,
    WebhookSubscription,
    next_callback,
    requested_callbacks,
    requested_webhook_url,
)

__all__ = [
    "STATE_SCENARIO_PREFIX",
    "STATUS_CODES_BY_REASON",
    "EmulatedCallback",
    "EmulatedResponse",
    "ResponseBuilder",
    "StreamPacing",
    "StreamPiece",
    "WebhookSubscription",
    "add_documented_headers",
    "audio_length_s",
    "default_body",
    "error_response",
    "next_callback",
    "requested_callbacks",
    "requested_end_event",
    "requested_webhook_url",
    "send_stream",
    "streaming_pace",
    "success_response",
]
