"""Ranks the targets of a run by weighted points, in groups that can be distinguished."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from voicegauge.bench.resampling import FloatArray, TargetDifferences
from voicegauge.bench.target_cost import TargetCost
from voicegauge.bench.target_summaries import TargetSummary, get_error_rate, get_median_latency_ms
from voicegauge.model.base import Record
from voicegauge.model.price import PriceRange
from voicegauge.printable_text import format_count
from voicegauge.report.text_format import MISSING_TEXT, join_words

# Ranks the targets of a run by weighted points for speed, intelligibility and price.


MAX_RANKING_POINTS = 100.0
"""Points of the best target of a measure."""
POINTS_LOST_PER_ERROR_RATE = 500.0
"""Points lost for an error rate that is higher than the lowest one by 1 (100%): 5 for each percentage point."""
RANKED_MEASURES = ("speed", "intelligibility", "price")
"""The measures of a ranking, as the fields of `RankingWeights` are named."""


class RankingWeights(Record, frozen=True, kw_only=True):
    """How much speed, intelligibility and price count in a ranking, relative to each other; 0 leaves one out."""

    speed: float = 1.0
    """Weight of the speed points."""
    intelligibility: float = 1.0
    """Weight of the points for few errors."""
    price: float = 1.0
    """Weight of the price points."""


class RankedTarget(Record, frozen=True, kw_only=True):
    """The points of one target, up to 100. They are `None` if a number from which they are computed is missing."""

    target: str
    points: float | None
    """Weighted mean of the points for speed, intelligibility and price."""
    group: int | None
    """Number of the group, from 1: all targets of a group cannot be distinguished from its first one. `None` without
    points, or if there are too few texts to tell targets apart."""
    speed_points: float | None
    """Points for the median total latency: 100 times that of the fastest target, divided by that of this target."""
    intelligibility_points: float | None
    """Points for the error rate: 100 for the lowest one, and 5 less for each percentage point above it. If
    `Ranking.has_tied_errors` is true, all targets have the same points."""
    price_points: float | None
    """Points for the price in dollars: 100 times that of the cheapest target that is not free, divided by that of this
    target; 100 for a free one."""


class Ranking(Record, frozen=True, kw_only=True):
    """The ranking of a run: the targets that delivered something, best first; those without points are last."""

    weights: RankingWeights
    """The default weights: equal for every measure that all of the targets have and that can tell them apart, otherwise
    0."""
    targets: tuple[RankedTarget, ...]
    has_tied_errors: bool = False
    """Whether the ASR engine's own error rate is at least as large as every difference between targets: then they all
    have the same points for the error rate."""
    decision: str = ""
    """One line without a full stop: the targets to choose by the weights, and by single measures if those are others;
    empty if fewer than two targets have points."""


class CertainLeads(NamedTuple):
    """The fewest points by which each target is ahead of each other one, within the confidence intervals.

    Whole numbers, rounded down; negative if the other target may be ahead. Only targets that delivered something are
    included.
    """

    targets: tuple[str, ...]
    """Ids of the targets."""
    speed: FloatArray
    """Leads in speed points: of the target of the row before that of the column."""
    intelligibility: FloatArray
    """Leads in intelligibility points: of the target of the row before that of the column."""


def compute_certain_leads(
    targets: Sequence[TargetSummary], differences: TargetDifferences, *, has_tied_errors: bool = False
) -> CertainLeads:
    """Compute the fewest points by which each target is ahead of each other one.

    Args:
        targets: all targets of the run, in the order of `differences`.
        differences: the differences between the targets, whose intervals hold together.
        has_tied_errors: as in `Ranking`.
    """
    columns = _find_indices_of_delivering_targets(targets)
    names = tuple(targets[i].target for i in columns)
    speed_points, error_points = (
        np.array([0.0 if value is None else value for value in values])
        for values in (
            compute_points_by_ratio([get_median_latency_ms(targets[i]) for i in columns]),
            _compute_points_by_error_rate([get_error_rate(targets[i]) for i in columns]),
        )
    )
    grid = np.ix_(columns, columns)
    # Lower bounds of the log ratio of the other target's latency, and of the difference of its error rate.
    slowness = differences.log_latency.lower_bounds[grid].T
    errors = differences.error_rate.lower_bounds[grid].T
    # Points are inverse to latency, so a ratio of latencies is one of points. exp overflows above 709.
    speed = speed_points[:, None] * (1 - np.exp(-np.maximum(slowness, -700.0)))
    # Points end at 0, so that a target is never ahead by more points than it has.
    intelligibility = np.minimum(POINTS_LOST_PER_ERROR_RATE * errors, error_points[:, None])
    if has_tied_errors:
        intelligibility = np.zeros_like(intelligibility)
    return CertainLeads(names, _round_down_leads(speed, speed_points), _round_down_leads(intelligibility, error_points))


def _round_down_leads(leads: FloatArray, points: FloatArray) -> FloatArray:
    """Return `leads` rounded down; none is below the target's points minus `MAX_RANKING_POINTS`, the largest lag."""
    limited: FloatArray = np.floor(np.maximum(leads, points[:, None] - MAX_RANKING_POINTS))
    return limited


def _find_indices_of_delivering_targets(targets: Sequence[TargetSummary]) -> list[int]:
    return [i for i, target in enumerate(targets) if get_median_latency_ms(target) is not None]


def rank_targets(
    targets: Sequence[TargetSummary],
    differences: TargetDifferences,
    *,
    weights: RankingWeights | None = None,
    has_comparable_errors: bool = True,
    has_tied_errors: bool = False,
    quality_name: str = "intelligibility",
) -> Ranking:
    """Rank the targets of one run.

    Args:
        targets: all targets of the run, in the order of `differences`.
        differences: the differences between the targets.
        weights: how much each measure counts; `None` for those of `Ranking.weights`.
        has_comparable_errors: whether the error rates of the targets are of the same texts, and may be interpreted.
        has_tied_errors: as in `Ranking`.
        quality_name: word for what error rates measure, for `Ranking.decision`.
    """
    ranked = [targets[i] for i in _find_indices_of_delivering_targets(targets)]
    latencies = [get_median_latency_ms(target) for target in ranked]
    errors = [get_error_rate(target) for target in ranked]
    prices = [target.cost.comparison_price_usd for target in ranked]
    # A measure that one of the targets lacks would leave that target without points.
    default = RankingWeights(
        speed=1.0,
        intelligibility=float(has_comparable_errors and not has_tied_errors and None not in errors and bool(errors)),
        price=float(None not in prices and bool(prices)),
    )
    error_points = _compute_points_by_error_rate(errors)
    if has_tied_errors:
        error_points = [None if value is None else MAX_RANKING_POINTS for value in error_points]
    table = _PointTable(
        tuple(target.target for target in ranked),
        (compute_points_by_ratio(latencies), error_points, compute_points_by_ratio(prices)),
        _compute_price_point_ranges([target.cost.comparison_price for target in ranked]),
        compute_certain_leads(targets, differences, has_tied_errors=has_tied_errors),
        differences.has_enough_texts,
    )
    used = weights or default
    order, groups = table.rank_by_weights(used)
    points = table.compute_weighted_points(used)
    return Ranking(
        weights=used,
        targets=tuple(
            RankedTarget(
                target=table.names[i],
                points=points[i],
                group=groups[i],
                speed_points=table.points[0][i],
                intelligibility_points=table.points[1][i],
                price_points=table.points[2][i],
            )
            for i in order
        ),
        has_tied_errors=has_tied_errors,
        decision=_describe_decision(table, used, quality_name),
    )


class _PointTable(NamedTuple):
    """The points of the targets for each measure, and how far each is certainly ahead of each other."""

    names: tuple[str, ...]
    points: tuple[list[float | None], list[float | None], list[float | None]]
    """Points for speed, intelligibility and price."""
    price_ranges: list[tuple[float, float]]
    """For each target, the fewest and the most points for its price; they differ if its price is a range."""
    leads: CertainLeads
    has_enough_texts: bool

    def compute_weighted_points(self, weights: RankingWeights) -> list[float | None]:
        """Return each target's weighted mean of its points; `None` if one that counts is missing, or none counts."""
        return [
            _compute_weighted_mean([measure[i] for measure in self.points], weights) for i in range(len(self.names))
        ]

    def rank_by_weights(self, weights: RankingWeights) -> tuple[list[int], list[int | None]]:
        """Return the indices of the targets in `names`, best first, and the group of each target, as `names` has them.

        A group has a first target and all later ones that it is not certainly ahead of. Groups are numbered from 1;
        the group is `None` for a target without points, and for all targets if there are not enough texts.
        """
        points = self.compute_weighted_points(weights)
        order = sorted(range(len(points)), key=lambda i: (points[i] is None, -(points[i] or 0.0), self.names[i]))
        groups: list[int | None] = [None] * len(points)
        remaining = [i for i in order if points[i] is not None] if self.has_enough_texts else []
        number = 0
        # A target is compared with the first one of its group, not with its neighbours: else a chain of small
        # differences would put the best and the worst target into one group.
        while remaining:
            number += 1
            first = remaining[0]
            for i in remaining:
                if i == first or not self._is_certainly_ahead(first, i, weights):
                    groups[i] = number
            remaining = [i for i in remaining if groups[i] is None]
        return order, groups

    def list_names_of_first_group(self, weights: RankingWeights) -> list[str]:
        """Return the targets that cannot be distinguished from the first one, the first one first."""
        order, groups = self.rank_by_weights(weights)
        return [self.names[i] for i in order if groups[i] == 1]

    def _is_certainly_ahead(self, first_index: int, other_index: int, weights: RankingWeights) -> bool:
        lead = weights.price * (self.price_ranges[first_index][0] - self.price_ranges[other_index][1])
        # A measure that does not count must not matter where it is unknown.
        if weights.speed:
            lead += weights.speed * float(self.leads.speed[first_index, other_index])
        if weights.intelligibility:
            lead += weights.intelligibility * float(self.leads.intelligibility[first_index, other_index])
        return lead > 1e-9  # sums of decimal weights are not exact


def _describe_decision(table: _PointTable, weights: RankingWeights, quality_name: str) -> str:
    """Return the line that says which target to choose.

    The script of the page replaces it by the same line for other weights when the reader changes them.
    """
    used_measures = [name for name in RANKED_MEASURES if getattr(weights, name)]
    best_targets = table.list_names_of_first_group(weights)
    if (
        not used_measures
        or not best_targets
        or sum(value is not None for value in table.compute_weighted_points(weights)) < 2
    ):
        return ""
    names = [quality_name if name == "intelligibility" else name for name in used_measures]
    lead = (
        "With equal weights"
        if len(used_measures) == len(RANKED_MEASURES)
        else f"With equal weights for {join_words(names)}"
    )
    if len(used_measures) == 1:
        lead = f"By {names[0]} alone"
    parts = [f"{lead}: {format_choice_of_targets(best_targets)}"]
    for name, word in zip(used_measures, names, strict=True):
        only = table.list_names_of_first_group(
            RankingWeights(**{other: float(other == name) for other in RANKED_MEASURES})
        )
        if len(used_measures) > 1 and only and best_targets[0] not in only:
            parts.append(f"{format_choice_of_targets(only)} if only {word} counts")
    return "; ".join(parts)


MAX_TARGETS_NAMED_AS_CHOICE = 5
"""Largest number of targets that cannot be distinguished and are named as a choice. Of more, only the number is stated,
because it would be chance which of them are named."""


def format_choice_of_targets(names: Sequence[str]) -> str:
    """Return the names of targets that cannot be distinguished: "a", "a or b", "a, b, c or 2 others".

    Of more than `MAX_TARGETS_NAMED_AS_CHOICE` targets, only the number is stated: "12 targets cannot be distinguished".
    """
    if len(names) == 1:
        return names[0]
    if len(names) > MAX_TARGETS_NAMED_AS_CHOICE:
        return f"{len(names):,} targets cannot be distinguished"
    shown = list(names[:3]) if len(names) > 3 else list(names[:-1])
    rest = format_count(len(names) - 3, "other") if len(names) > 3 else names[-1]
    return f"{', '.join(shown)} or {rest}"


def compute_points_by_ratio(values: Sequence[float | None]) -> list[float | None]:
    """Return points for latencies or prices: 100 for the lowest above 0 and for 0, 50 for twice the lowest.

    The points of an unknown one are `None`. If a free target, such as a server of one's own, were the lowest, every
    other one would have 0 points.
    """
    lowest = min((value for value in values if value), default=0.0)
    return [None if value is None else MAX_RANKING_POINTS * (lowest / value if value else 1.0) for value in values]


def _compute_price_point_ranges(prices: Sequence[PriceRange]) -> list[tuple[float, float]]:
    """Return for each price the points at its upper and at its lower end; 0 without a price."""
    lowest = min((price.usd for price in prices if price.usd), default=0.0)

    def compute_points(usd: float | None) -> float:
        """Return the points for a price, compared with the lowest price above 0; 0 for `None`, an unknown price."""
        # The lower end of a range may be below the lowest price of all, which has all points.
        return 0.0 if usd is None else MAX_RANKING_POINTS * min(lowest / usd if usd else 1.0, 1.0)

    return [
        (
            compute_points(price.usd if price.high_usd is None else price.high_usd),
            compute_points(price.usd if price.low_usd is None else price.low_usd),
        )
        if price.usd is not None
        else (0.0, 0.0)
        for price in prices
    ]


def _compute_points_by_error_rate(values: Sequence[float | None]) -> list[float | None]:
    lowest = min((value for value in values if value is not None), default=0.0)
    return [
        None if value is None else max(0.0, MAX_RANKING_POINTS - POINTS_LOST_PER_ERROR_RATE * (value - lowest))
        for value in values
    ]


def _compute_weighted_mean(points: Sequence[float | None], weights: RankingWeights) -> float | None:
    weight_by_measure = (weights.speed, weights.intelligibility, weights.price)
    pairs = [(weight, value) for weight, value in zip(weight_by_measure, points, strict=True) if weight]
    if not pairs or any(value is None for _, value in pairs):
        return None
    return sum(weight * (value or 0.0) for weight, value in pairs) / sum(weight for weight, _ in pairs)


# Builds the ranking as the page shows it, and the HTML ids of the sections of targets.


MAX_TARGET_CHARACTERS_IN_ANCHOR = 60
"""Maximum number of characters of a target's id that are used in the HTML id of its section."""


class RankedRow(NamedTuple):
    """The row of one target in the ranking, as the page shows it."""

    rank: int
    """Position in the ranking by the default weights; the plot shows it in the target's circle."""
    target: str
    anchor: str
    """HTML id of the section about the target."""
    cost: TargetCost
    points_text: str
    """The points as text, rounded; a dash if the target has none."""
    points_value: float
    """The points with one decimal; 0 if the target has none."""
    group_text: str
    """The group of targets that cannot be distinguished, such as "group 1"; or why the target is in none."""
    speed_points_text: str
    """Points for speed as text; empty if the target has none."""
    intelligibility_points_text: str
    """Points for intelligibility as text; empty if the target has none."""
    speed_leads: str
    """Points for speed by which the target is certainly ahead of each target, in the order of the rows: whole numbers,
    joined by spaces."""
    intelligibility_leads: str
    """The same as `speed_leads`, for intelligibility."""


def build_ranked_rows(
    ranking: Ranking,
    targets: Sequence[TargetSummary],
    leads: CertainLeads,
    anchor_by_target: dict[str, str],
) -> tuple[RankedRow, ...]:
    """Return the rows of the ranking of one run, best first."""
    costs = {target.target: target.cost for target in targets}
    rows = []
    # The leads are in the order of the run, the rows in that of the ranking.
    order = [leads.targets.index(ranked.target) for ranked in ranking.targets]
    for rank, (ranked, column) in enumerate(zip(ranking.targets, order, strict=True), 1):
        rows.append(
            RankedRow(
                rank=rank,
                target=ranked.target,
                anchor=anchor_by_target[ranked.target],
                cost=costs[ranked.target],
                points_text=MISSING_TEXT if ranked.points is None else f"{ranked.points:.0f}",
                points_value=round(ranked.points or 0.0, 1),
                group_text=_format_group_label(ranked),
                speed_points_text=_format_points(ranked.speed_points),
                intelligibility_points_text=_format_points(ranked.intelligibility_points),
                speed_leads=_format_leads(leads.speed[column, order]),
                intelligibility_leads=_format_leads(leads.intelligibility[column, order]),
            )
        )
    return tuple(rows)


def _format_group_label(ranked_target: RankedTarget) -> str:
    if ranked_target.points is None:
        return "not ranked: a number is missing"
    if ranked_target.group is None:
        return "too few texts"
    return f"group {ranked_target.group}"


def _format_points(points: float | None) -> str:
    return "" if points is None else f"{points:.4f}"


def _format_leads(leads: FloatArray) -> str:
    return " ".join(str(int(value)) for value in leads)


def describe_weights(ranking: Ranking) -> str:
    """Return one or two sentences about the criteria of a ranking and their weights.

    The first names the criteria whose weight is not 0, such as "By speed and price, equally.": "equally" follows if
    there are several, since all have the same weight. The second names those that are not counted because they are not
    comparable for all targets. Intelligibility is in neither if all targets have the same points for it.
    """
    used = [name for name in RANKED_MEASURES if getattr(ranking.weights, name)]
    tied = ["intelligibility"] if ranking.has_tied_errors else []
    left_out = [name for name in RANKED_MEASURES if name not in (*used, *tied)]
    text = f"By {join_words(used)}, equally." if len(used) > 1 else f"By {join_words(used)}."
    return (
        f"{text} {join_words(left_out).capitalize()}: not comparable for all targets, so not counted."
        if left_out
        else text
    )


def build_anchors(targets: Sequence[str], run_letter: str) -> dict[str, str]:
    """Return the HTML id of each target's section, by target id; it consists of letters, digits and hyphens."""
    anchors: dict[str, str] = {}
    for target in targets:
        slug = re.sub(r"[^a-z0-9]+", "-", target.lower()).strip("-")[:MAX_TARGET_CHARACTERS_IN_ANCHOR]
        # Targets whose ids differ in other characters only have the same slug: a number tells them apart.
        anchor = "-".join(filter(None, ("target", run_letter.lower(), slug)))
        anchors[target] = anchor if anchor not in anchors.values() else f"{anchor}-{len(anchors)}"
    return anchors
