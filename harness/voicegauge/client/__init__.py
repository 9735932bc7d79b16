"""One async client over any contract: submit, poll as documented, download, pay within a budget."""

from voicegauge.client.client import Client
from voicegauge.client.connection import DEFAULT_KEY
from voicegauge.client.delivery.audio_input import FetchedAudio, audio_input_request, fetch_response_audio
from voicegauge.client.requests.curl_command import curl_command
from voicegauge.client.requests.keys import client_key
from voicegauge.client.requests.speech_request import RequestParts, map_speech_request
from voicegauge.client.spending.ledger import Ledger, Reservation
from voicegauge.client.spending.observer import PaymentObserver
from voicegauge.client.spending.rate_limit import RateLimiter, account_plans, rate_limiter_for
from voicegauge.client.spending.settlement import BillingStatus, Settlement, settle_responses, settlement_of
from voicegauge.client.spending.shared_budget import SharedBudget

__all__ = [
    "DEFAULT_KEY",
    "BillingStatus",
    "Client",
    "FetchedAudio",
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
    "curl_command",
    "fetch_response_audio",
    "map_speech_request",
    "rate_limiter_for",
    "settle_responses",
    "settlement_of",
]
