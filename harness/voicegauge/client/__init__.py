"""One async client over any contract: submit, poll as documented, download, pay within a budget."""

from voicegauge.client.client import Client
from voicegauge.client.connection import DEFAULT_KEY
from voicegauge.client.intake import Fetched, fetch_made, intake_wire
from voicegauge.client.keys import client_key
from voicegauge.client.ledger import Ledger, Reservation
from voicegauge.client.mapping import WireRequest, to_wire
from voicegauge.client.observer import Observer
from voicegauge.client.pacing import Pacer, account_plans, pacer_for
from voicegauge.client.reproduce import curl

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
