"""Searches how much load a target bears: goals for samples, and a ramp of concurrency or rate."""

from __future__ import annotations

from voicegauge.bench.load.goal import DEFAULT_GOAL, Goal, GoalCondition, parse_goal
from voicegauge.bench.load.ramp import MeasuredLevel, search_highest_level

__all__ = [
    "DEFAULT_GOAL",
    "Goal",
    "GoalCondition",
    "MeasuredLevel",
    "parse_goal",
    "search_highest_level",
]
