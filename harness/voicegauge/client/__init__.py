"""Async client for any contract: submits, polls and downloads within a budget."""

from voicegauge.client.client import Client
from voicegauge.client.connection import DEFAULT_KEY, KeyChoice
from voicegauge.client.delivery import (
    MAX_RETRY_AFTER_S,
    FetchedAudio,
    audio_input_request,
    fetch_response_audio,
    id_parameter,
    is_id,
    link_parameters,
    parameters_by_location,
    retry_after_s,
    retry_waits,
)
from voicegauge.client.requests import RequestParts, client_key, credentials, curl_command, map_speech_request
from voicegauge.client.spending import (
    Ledger,
    PaymentObserver,
    RateLimiter,
    Reservation,
    Settlement,
    SharedBudget,
    account_plans,
    rate_limiter_for,
    settle_responses,
    settlement_of,
)

__all__ = [
    "DEFAULT_KEY",
    "MAX_RETRY_AFTER_S",
    "Client",
    "FetchedAudio",
    "KeyChoice",
    "Ledger",
    "PaymentObserver",
    "RateLimiter",
    "RequestParts",
    "Reservation",
    "Settlement",
    "SharedBudget",
    "account_plans",
    "audio_input_request",
    "client_key",
    "credentials",
    "curl_command",
    "fetch_response_audio",
    "id_parameter",
    "is_id",
    "link_parameters",
    "map_speech_request",
    "parameters_by_location",
    "rate_limiter_for",
    "retry_after_s",
    "retry_waits",
    "settle_responses",
    "settlement_of",
]
