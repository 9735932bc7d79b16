"""One async client over any contract: submit, poll as documented, download, pay within a budget."""

from voicegauge.client.client import Client
from voicegauge.client.connection import DEFAULT_KEY
from voicegauge.client.delivery.audio_input import Fetched, fetch_made, intake_wire
from voicegauge.client.requests.curl import curl
from voicegauge.client.requests.keys import client_key
from voicegauge.client.requests.speech_request import WireRequest, to_wire
from voicegauge.client.spending.ledger import Ledger, Reservation
from voicegauge.client.spending.observer import Observer
from voicegauge.client.spending.rate_limit import Pacer, account_plans, pacer_for

__all__ = [
    "DEFAULT_KEY",
    "Client",
    "Fetched",
    "Ledger",
    "Observer",
    "Pacer",
    "Reservation",
    "WireRequest",
    "account_plans",
    "client_key",
    "curl",
    "fetch_made",
    "intake_wire",
    "pacer_for",
    "to_wire",
]
