"""Async client for any contract: submits, polls and downloads within a budget."""

from voicegauge.client.client import Client
from voicegauge.client.connection import DEFAULT_KEY, KeyChoice
from voicegauge.client.delivery import (
    MAX_RETRY_AFTER_S,
    FetchedAudio,
    build_audio_input_request,
    fetch_response_audio,
    find_id_parameter,
    group_parameters_by_location,
    is_id,
    read_link_parameters,
    retry_after_s,
    retry_waits_s,
)
from voicegauge.client.key_destinations import KeyDestinations, find_key_destinations
from voicegauge.client.requests import RequestParts, build_credentials, client_key, curl_command, map_speech_request
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
    "KeyDestinations",
    "Ledger",
    "PaymentObserver",
    "RateLimiter",
    "RequestParts",
    "Reservation",
    "Settlement",
    "SharedBudget",
    "account_plans",
    "build_audio_input_request",
    "build_credentials",
    "client_key",
    "curl_command",
    "fetch_response_audio",
    "find_id_parameter",
    "find_key_destinations",
    "group_parameters_by_location",
    "is_id",
    "map_speech_request",
    "rate_limiter_for",
    "read_link_parameters",
    "retry_after_s",
    "retry_waits_s",
    "settle_responses",
    "settlement_of",
]
