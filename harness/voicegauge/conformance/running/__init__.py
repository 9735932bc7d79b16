"""Sending planned cases to a service, within a budget, and judging the responses."""

from voicegauge.conformance.running.case_runner import Keep, Runner, Service
from voicegauge.conformance.running.collector import Collector
from voicegauge.conformance.running.plan_price import PricedPlan, price_of_plan, priced, refuse_unpriced
from voicegauge.conformance.running.webhook_listener import Heard, Listener

__all__ = [
    "Collector",
    "Heard",
    "Keep",
    "Listener",
    "PricedPlan",
    "Runner",
    "Service",
    "price_of_plan",
    "priced",
    "refuse_unpriced",
]
