"""Ranks the targets of a run by weighted points for speed, intelligibility and price."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from voicegauge.bench.cost import TargetCost
from voicegauge.bench.resampling import FloatArray, JointResamples
from voicegauge.bench.target_summaries import TargetSummary, get_error_rate, get_median_latency_ms
from voicegauge.model.base import Record
from voicegauge.report._text_format import MISSING_TEXT

# Ranks the targets of a run by weighted points for speed, intelligibility and price.


MAX_POINTS = 100.0
POINTS_LOST_PER_ERROR_RATE = 500.0
"""Points lost for an error rate that is higher than the lowest one by 1 (100%): 5 for each percentage point."""
RANKED_RESAMPLE_COUNT = 200
"""Number of resamples that are ranked. A page contains their points, so that it can rank them by other weights."""


class RankingWeights(Record, frozen=True, kw_only=True):
    """How much speed, intelligibility and price count in a ranking, relative to each other; 0 leaves one out."""

    speed: float = 1.0
    intelligibility: float = 1.0
    price: float = 1.0


class RankedTarget(Record, frozen=True, kw_only=True):
    """The points of one target, up to 100. They are `None` if a number from which they are computed is missing."""

    target: str
    points: float | None
    """Weighted mean of the points for speed, intelligibility and price."""
    share_ranked_first: float | None
    """Share of resamples in which the target ranks first; `None` if there are too few texts, or it has no points."""
    speed_points: float | None
    """Points for the median total latency: 100 times that of the fastest target, divided by that of this target."""
    intelligibility_points: float | None
    """Points for the error rate: 100 for the lowest one, and 5 less for each percentage point above it. If
    `Ranking.has_tied_errors` is true, all targets have the same points."""
    price_points: float | None
    """Points for the price in dollars: 100 times that of the cheapest target, divided by that of this target."""


class Ranking(Record, frozen=True, kw_only=True):
    """The ranking of a run: the targets that delivered something, best first; those without points are last."""

    weights: RankingWeights
    """The default weights: equal for every measure that all of the targets have and that can tell them apart, otherwise
    0."""
    targets: tuple[RankedTarget, ...]
    has_tied_errors: bool = False
    """Whether the ASR engine's own error rate is at least as large as every difference between targets: then they all
    have the same points for the error rate."""


class ResampledPoints(NamedTuple):
    """Rounded points of the targets in each resample. Arrays have a row per resample and a column per target.

    Only targets that delivered something are included.
    """

    targets: tuple[str, ...]
    speed_points: FloatArray
    intelligibility_points: FloatArray


def compute_resampled_points(
    targets: Sequence[TargetSummary], resamples: JointResamples, *, has_tied_errors: bool = False
) -> ResampledPoints:
    """Compute the points of each resample; a missing value counts as 0 points.

    Args:
        targets: all targets of the run, in the order of the columns of `resamples`.
        resamples: the resampled latencies and error rates.
        has_tied_errors: as in `Ranking`.
    """
    columns = _find_indices_of_delivering_targets(targets)
    error_points = _compute_points_by_error_rate_in_rows(resamples.error_rates[:RANKED_RESAMPLE_COUNT, columns])
    if has_tied_errors:
        error_points = np.where(np.isnan(error_points), np.nan, MAX_POINTS)
    return ResampledPoints(
        targets=tuple(targets[i].target for i in columns),
        speed_points=_round_points(
            _compute_points_by_ratio_in_rows(resamples.median_latencies_ms[:RANKED_RESAMPLE_COUNT, columns])
        ),
        intelligibility_points=_round_points(error_points),
    )


def _find_indices_of_delivering_targets(targets: Sequence[TargetSummary]) -> list[int]:
    return [i for i, target in enumerate(targets) if get_median_latency_ms(target) is not None]


def rank_targets(
    targets: Sequence[TargetSummary],
    resamples: JointResamples,
    *,
    weights: RankingWeights | None = None,
    has_comparable_errors: bool = True,
    has_tied_errors: bool = False,
) -> Ranking:
    """Rank the targets of one run.

    Args:
        targets: all targets of the run, in the order of the columns of `resamples`.
        resamples: the resampled latencies and error rates.
        weights: how much each measure counts; by default those of `Ranking.weights`.
        has_comparable_errors: whether the error rates of the targets are of the same texts.
        has_tied_errors: as in `Ranking`.
    """
    ranked = [targets[i] for i in _find_indices_of_delivering_targets(targets)]
    latencies = [get_median_latency_ms(target) for target in ranked]
    errors = [get_error_rate(target) for target in ranked]
    prices = [target.cost.comparison_price_usd for target in ranked]
    weights = weights or RankingWeights(
        speed=1.0,
        intelligibility=float(has_comparable_errors and not has_tied_errors and None not in errors and bool(errors)),
        price=float(None not in prices and bool(prices)),
    )
    error_points = _compute_points_by_error_rate(errors)
    if has_tied_errors:
        error_points = [None if value is None else MAX_POINTS for value in error_points]
    points = [_compute_points_by_ratio(latencies), error_points, _compute_points_by_ratio(prices)]
    resampled_points = compute_resampled_points(targets, resamples, has_tied_errors=has_tied_errors)
    shares = _compute_shares_ranked_first(points, resampled_points, weights)
    found = [
        RankedTarget(
            target=target.target,
            points=_compute_weighted_mean([measure[i] for measure in points], weights),
            share_ranked_first=shares[i],
            speed_points=points[0][i],
            intelligibility_points=points[1][i],
            price_points=points[2][i],
        )
        for i, target in enumerate(ranked)
    ]
    found.sort(key=lambda one: (one.points is None, -(one.points or 0.0), one.target))
    return Ranking(weights=weights, targets=tuple(found), has_tied_errors=has_tied_errors)


def _compute_points_by_ratio(values: Sequence[float | None]) -> list[float | None]:
    """Return 100 points for the lowest value, and 50 for twice that value; if the lowest is 0, 0 for all others."""
    lowest = min((value for value in values if value is not None), default=0.0)
    return [None if value is None else MAX_POINTS * (lowest / value if value else 1.0) for value in values]


def _compute_points_by_error_rate(values: Sequence[float | None]) -> list[float | None]:
    lowest = min((value for value in values if value is not None), default=0.0)
    return [
        None if value is None else max(0.0, MAX_POINTS - POINTS_LOST_PER_ERROR_RATE * (value - lowest))
        for value in values
    ]


def _compute_points_by_ratio_in_rows(values: FloatArray) -> FloatArray:
    if not values.size:
        return values
    points: FloatArray = MAX_POINTS * np.nanmin(values, axis=1, keepdims=True) / values
    return points


def _compute_points_by_error_rate_in_rows(values: FloatArray) -> FloatArray:
    if not values.size or np.isnan(values).all():
        return values
    lowest = np.nanmin(values, axis=1, keepdims=True)
    points: FloatArray = np.maximum(0.0, MAX_POINTS - POINTS_LOST_PER_ERROR_RATE * (values - lowest))
    return points


def _round_points(points: FloatArray) -> FloatArray:
    """Round half up, as the page does; a missing value counts as 0 points."""
    rounded: FloatArray = np.floor(np.nan_to_num(points) + 0.5)
    return rounded


def _compute_weighted_mean(points: Sequence[float | None], weights: RankingWeights) -> float | None:
    pairs = [(weight, value) for weight, value in zip(_to_weight_tuple(weights), points, strict=True) if weight]
    if not pairs or any(value is None for _, value in pairs):
        return None
    return sum(weight * (value or 0.0) for weight, value in pairs) / sum(weight for weight, _ in pairs)


def _compute_shares_ranked_first(
    points: Sequence[Sequence[float | None]], resampled_points: ResampledPoints, weights: RankingWeights
) -> list[float | None]:
    """Return the share of resamples in which each target ranks first.

    A resample in which several targets have the most points counts for each of them in equal parts.
    """
    count = len(points[0])
    is_ranked = [_compute_weighted_mean([measure[i] for measure in points], weights) is not None for i in range(count)]
    if not len(resampled_points.speed_points) or not any(is_ranked):
        return [None] * count
    prices = np.array([_round_price_points(value) for value in points[2]])
    totals = (
        weights.speed * resampled_points.speed_points
        + weights.intelligibility * resampled_points.intelligibility_points
        + weights.price * prices
    )
    totals[:, [not ranked for ranked in is_ranked]] = -np.inf
    is_first = totals >= totals.max(axis=1, keepdims=True) - 1e-9
    shares = (is_first / is_first.sum(axis=1, keepdims=True)).mean(axis=0)
    return [float(share) if ranked else None for share, ranked in zip(shares, is_ranked, strict=True)]


def _round_price_points(points: float | None) -> float:
    return float(np.floor((points or 0.0) + 0.5))


def _to_weight_tuple(weights: RankingWeights) -> tuple[float, float, float]:
    return weights.speed, weights.intelligibility, weights.price


# Builds the ranking as the page shows it, and the HTML ids of the sections of targets.


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
