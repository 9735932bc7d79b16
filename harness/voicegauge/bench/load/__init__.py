"""Searches how much load a target bears: goals for samples, and a ramp of concurrency or rate."""

from __future__ import annotations

from voicegauge.bench.load.goal import DEFAULT_GOAL, Goal, GoalCondition, parse_goal
from voicegauge.bench.load.ramp import MeasuredLevel, search_highest_level
from voicegauge.bench.load.sent_share import MIN_SENT_SHARE, compute_closed_loop_share, compute_open_loop_share

__all__ = [
    "DEFAULT_GOAL",
    "MIN_SENT_SHARE",
    "Goal",
    "GoalCondition",
    "MeasuredLevel",
    "compute_closed_loop_share",
    "compute_open_loop_share",
    "parse_goal",
    "search_highest_level",
]
