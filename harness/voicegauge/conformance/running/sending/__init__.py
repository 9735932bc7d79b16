"""Sends the requests of cases, and keeps what was received until it is judged."""

from voicegauge.conformance.running.sending.case_sender import CaseSender
from voicegauge.conformance.running.sending.request_sender import API_KEY_BY_VALIDITY
from voicegauge.conformance.running.sending.resource_requests import set_resource_id
from voicegauge.conformance.running.sending.sent_case import SentCase

__all__ = ["API_KEY_BY_VALIDITY", "CaseSender", "SentCase", "set_resource_id"]
