"""Decides when requests are sent: closed and open loops, goals for samples, and a ramp of concurrency or rate."""

from __future__ import annotations

from voicegauge.bench.load.dispatch import ArrivalRate, ProviderLimit, SampleSender, send_closed_loop, send_open_loop
from voicegauge.bench.load.goal import DEFAULT_GOAL, Goal, GoalCondition, parse_goal
from voicegauge.bench.load.load_search import StepMeasurements, search_highest_load
from voicegauge.bench.load.ramp_sending import RampSettings, RampStepListener, SampleCollector, send_ramp

__all__ = [
    "DEFAULT_GOAL",
    "ArrivalRate",
    "Goal",
    "GoalCondition",
    "ProviderLimit",
    "RampSettings",
    "RampStepListener",
    "SampleCollector",
    "SampleSender",
    "StepMeasurements",
    "parse_goal",
    "search_highest_load",
    "send_closed_loop",
    "send_open_loop",
    "send_ramp",
]
