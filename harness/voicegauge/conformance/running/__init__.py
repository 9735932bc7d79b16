"""Sends planned cases to a service, within a budget, and judges the responses."""

from voicegauge.conformance.running.call_prices import compute_lifecycle_step_price_usd
from voicegauge.conformance.running.callback_monitor import CallbackMonitor, JudgedCallback
from voicegauge.conformance.running.case_runner import CaseRunner, JudgedCase
from voicegauge.conformance.running.checked_service import CheckedService, ExchangeSaver
from voicegauge.conformance.running.plan_price import PricedPlan, compute_total_price_usd, price_plan, require_prices
from voicegauge.conformance.running.response_audio import (
    read_inline_audio,
    read_speech_request,
    read_streamed_audio,
)
from voicegauge.conformance.running.result_collector import ResultCollector
from voicegauge.conformance.running.sending import API_KEY_BY_VALIDITY, set_resource_id
from voicegauge.conformance.running.webhook_session import open_receiver_for_cases

__all__ = [
    "API_KEY_BY_VALIDITY",
    "CallbackMonitor",
    "CaseRunner",
    "CheckedService",
    "ExchangeSaver",
    "JudgedCallback",
    "JudgedCase",
    "PricedPlan",
    "ResultCollector",
    "compute_lifecycle_step_price_usd",
    "compute_total_price_usd",
    "open_receiver_for_cases",
    "price_plan",
    "read_inline_audio",
    "read_speech_request",
    "read_streamed_audio",
    "require_prices",
    "set_resource_id",
]
