"""Builds the emulator's responses from the contract: bodies, headers, streams and callback payloads."""

from voicegauge.emulator.responses.bodies import (
    build_default_body,
    build_error_response,
    build_success_response,
)
from voicegauge.emulator.responses.builder import ResponseBuilder
from voicegauge.emulator.responses.headers import add_documented_headers
from voicegauge.emulator.responses.list_filters import filter_lists
from voicegauge.emulator.responses.response import EmulatedResponse, StreamPiece
from voicegauge.emulator.responses.streams import (
    STATE_SCENARIO_PREFIX,
    StreamPacer,
    find_audio_pacing,
    read_requested_final_event,
    send_stream,
)
from voicegauge.emulator.responses.timestamps import SpeechTimingsGetter, write_timestamps
from voicegauge.emulator.responses.usage import compute_final_event_usage
from voicegauge.emulator.responses.webhook_payloads import (
    EmulatedCallback,
    WebhookSubscription,
    build_callback,
    find_webhook_url_field,
    read_callback_timing,
)

__all__ = [
    "STATE_SCENARIO_PREFIX",
    "EmulatedCallback",
    "EmulatedResponse",
    "ResponseBuilder",
    "SpeechTimingsGetter",
    "StreamPacer",
    "StreamPiece",
    "WebhookSubscription",
    "add_documented_headers",
    "build_callback",
    "build_default_body",
    "build_error_response",
    "build_success_response",
    "compute_final_event_usage",
    "filter_lists",
    "find_audio_pacing",
    "find_webhook_url_field",
    "read_callback_timing",
    "read_requested_final_event",
    "send_stream",
    "write_timestamps",
]
