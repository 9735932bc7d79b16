"""Builds the ranking as the page shows it, and the HTML ids of the sections of targets."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from voicegauge.bench.analysis import FloatArray, TargetCost, TargetSummary
from voicegauge.report.text_format import MISSING_TEXT
from voicegauge.report.verdict import RankedTarget, Ranking, ResampledPoints

MAX_SLUG_LENGTH = 60
"""Maximum number of characters of a target's id that are used in the HTML id of its section."""


class RankedRow(NamedTuple):
    """The row of one target in the ranking, as the page shows it."""

    rank: int
    """Position in the ranking by the default weights; the plot shows it in the target's circle."""
    target: str
    anchor: str
    cost: TargetCost
    points_text: str
    """The points as text, rounded; a dash if the target has none."""
    points_value: float
    """The points with one decimal; 0 if the target has none."""
    share_ranked_first_text: str
    speed_points_text: str
    """Points for speed as text; empty if the target has none."""
    intelligibility_points_text: str
    resampled_speed_points: str
    """Points for speed in each resample, as whole numbers joined by spaces."""
    resampled_intelligibility_points: str


def build_ranked_rows(
    ranking: Ranking,
    targets: Sequence[TargetSummary],
    resampled_points: ResampledPoints,
    anchor_by_target: dict[str, str],
) -> tuple[RankedRow, ...]:
    """Return the rows of the ranking of one run, best first."""
    costs = {target.target: target.cost for target in targets}
    rows = []
    for rank, ranked in enumerate(ranking.targets, 1):
        column = resampled_points.targets.index(ranked.target)
        rows.append(
            RankedRow(
                rank=rank,
                target=ranked.target,
                anchor=anchor_by_target[ranked.target],
                cost=costs[ranked.target],
                points_text=MISSING_TEXT if ranked.points is None else f"{ranked.points:.0f}",
                points_value=round(ranked.points or 0.0, 1),
                share_ranked_first_text=_format_share_ranked_first(ranked),
                speed_points_text=_format_points(ranked.speed_points),
                intelligibility_points_text=_format_points(ranked.intelligibility_points),
                resampled_speed_points=_format_points_in_each_resample(resampled_points.speed_points, column),
                resampled_intelligibility_points=_format_points_in_each_resample(
                    resampled_points.intelligibility_points, column
                ),
            )
        )
    return tuple(rows)


def _format_share_ranked_first(ranked_target: RankedTarget) -> str:
    if ranked_target.points is None:
        return "not ranked: a number is missing"
    if ranked_target.share_ranked_first is None:
        return "too few texts"
    return f"first in {math.floor(ranked_target.share_ranked_first * 100 + 0.5 + 1e-9)}%"


def _format_points(points: float | None) -> str:
    return "" if points is None else f"{points:.4f}"


def _format_points_in_each_resample(points: FloatArray, target_column: int) -> str:
    return " ".join(str(int(value)) for value in points[:, target_column])


def sort_by_rank(targets: Sequence[TargetSummary], ranked_rows: Sequence[RankedRow]) -> list[TargetSummary]:
    """Return the targets that delivered something, in the order of the ranking by the default weights."""
    summaries = {target.target: target for target in targets}
    return [summaries[row.target] for row in ranked_rows]


def describe_weights(ranking: Ranking) -> str:
    """Return one or two sentences about the criteria of a ranking and their weights.

    The first names the criteria whose weight is not 0, such as "By speed and price, equally.": "equally" follows if
    there are several, since all have the same weight. The second names those that are not counted because they are not
    comparable for all targets. Intelligibility is in neither if all targets have the same points for it.
    """
    names = ("speed", "intelligibility", "price")
    used = [name for name in names if getattr(ranking.weights, name)]
    tied = ["intelligibility"] if ranking.has_tied_errors else []
    left_out = [name for name in names if name not in (*used, *tied)]
    text = f"By {_join_words(used)}, equally." if len(used) > 1 else f"By {_join_words(used)}."
    return (
        f"{text} {_join_words(left_out).capitalize()}: not comparable for all targets, so not counted."
        if left_out
        else text
    )


def _join_words(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def build_anchors(targets: Sequence[str], run_letter: str) -> dict[str, str]:
    """Return the HTML id of each target's section, by target id; it consists of letters, digits and hyphens."""
    anchors: dict[str, str] = {}
    for target in targets:
        slug = re.sub(r"[^a-z0-9]+", "-", target.lower()).strip("-")[:MAX_SLUG_LENGTH]
        anchor = "-".join(filter(None, ("target", run_letter.lower(), slug)))
        anchors[target] = anchor if anchor not in anchors.values() else f"{anchor}-{len(anchors)}"
    return anchors
