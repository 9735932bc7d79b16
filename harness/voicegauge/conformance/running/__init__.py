"""Sending planned cases to a service, within a budget, and judging the responses."""

from voicegauge.conformance.running.case_runner import CaseRunner, CheckedService, SaveExchanges
from voicegauge.conformance.running.collector import Collector
from voicegauge.conformance.running.plan_price import PricedPlan, price_plan, require_prices, total_price_usd
from voicegauge.conformance.running.webhook_listener import CallbackMonitor, JudgedCallback

__all__ = [
    "CallbackMonitor",
    "CaseRunner",
    "CheckedService",
    "Collector",
    "JudgedCallback",
    "PricedPlan",
    "SaveExchanges",
    "price_plan",
    "require_prices",
    "total_price_usd",
]
