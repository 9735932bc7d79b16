"""Sends planned cases to a service, within a budget, and judges the responses."""

from voicegauge.conformance.running.call_prices import step_price_usd
from voicegauge.conformance.running.callback_monitor import CallbackMonitor, JudgedCallback
from voicegauge.conformance.running.case_runner import KEY_CHOICES, CaseRunner, JudgedCase
from voicegauge.conformance.running.collector import Collector
from voicegauge.conformance.running.plan_price import PricedPlan, price_plan, require_prices, total_price_usd
from voicegauge.conformance.running.resource_requests import with_resource_id
from voicegauge.conformance.running.response_audio import read_speech_request, read_streamed_audio
from voicegauge.conformance.running.service import CheckedService, SaveExchanges
from voicegauge.conformance.running.webhook_session import running_receiver_for

__all__ = [
    "KEY_CHOICES",
    "CallbackMonitor",
    "CaseRunner",
    "CheckedService",
    "Collector",
    "JudgedCallback",
    "JudgedCase",
    "PricedPlan",
    "SaveExchanges",
    "price_plan",
    "read_speech_request",
    "read_streamed_audio",
    "require_prices",
    "running_receiver_for",
    "step_price_usd",
    "total_price_usd",
    "with_resource_id",
]
