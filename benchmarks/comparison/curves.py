"""The faults found by paid calls, as a table and as curves in an SVG image."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from html import escape

from comparison.results import BUDGETS, Quartiles, ToolResult, compare_samples

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 720, 400, 60, 50, 30, 190
_COLORS = ("#0b6e4f", "#b3541e", "#4a5899", "#7a7a7a")


def render_table(results: Sequence[ToolResult]) -> str:
    """Return a Markdown table: the median number of faults found within each budget, with quartiles over the seeds."""
    lines = ["| paid calls | " + " | ".join(map(str, BUDGETS)) + " |", "|---" + "|--:" * len(BUDGETS) + "|"]
    for result in results:
        cells = [_render_quartiles(result.quartiles(budget)) for budget in BUDGETS]
        lines.append(f"| {result.tool} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _render_quartiles(quartiles: Quartiles) -> str:
    spread = "" if quartiles.low == quartiles.high else f" ({quartiles.low:g} to {quartiles.high:g})"
    return f"{quartiles.median:g}{spread}"


def render_faults(results: Sequence[ToolResult]) -> str:
    """Return a Markdown table: the median number of paid calls until each fault was found, by tool.

    The number of seeds that found it follows, if not all did. Only what was found within the largest budget counts.
    """
    lines = ["| fault | " + " | ".join(result.tool for result in results) + " |", "|---" + "|--:" * len(results) + "|"]
    for fault in results[0].paid_until_found:
        cells = [_render_paid(result.paid_until_found[fault]) for result in results]
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _render_paid(counts: Sequence[int | None]) -> str:
    found = [count for count in counts if count is not None and count <= BUDGETS[-1]]
    if not found:
        return "-"
    some = "" if len(found) == len(counts) else f" ({len(found)} of {len(counts)})"
    return f"{statistics.median(found):g}{some}"


def describe_effect(result: ToolResult, budget: int, other: ToolResult, other_budget: int) -> str:
    """Return a line that compares the faults found by two tools, each within its budget."""
    effect = compare_samples(result.count_found(budget), other.count_found(other_budget))
    return (
        f"{result.tool} at {budget} to {other.tool} at {other_budget}: median {result.quartiles(budget).median:g} to "
        f"{other.quartiles(other_budget).median:g}, A12 = {effect.a12:.2f}, p = {effect.p_value:.3f}"
    )


def render_svg(results: Sequence[ToolResult], faults: int) -> str:
    """Return the curves as SVG: paid calls on a logarithmic axis; the median of faults found, and its quartiles."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        '<g font-family="sans-serif" font-size="13">',
        f"<title>Faults found of {faults}, by the number of paid calls</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        *_axes(faults),
    ]
    for index, result in enumerate(results):
        parts += _curve(result, faults, _COLORS[index % len(_COLORS)], index)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _x(paid: float) -> float:
    return _LEFT + math.log(paid) / math.log(BUDGETS[-1]) * (_WIDTH - _LEFT - _RIGHT)


def _y(found: float, faults: int) -> float:
    return _HEIGHT - _BOTTOM - found / faults * (_HEIGHT - _BOTTOM - _TOP)


def _axes(faults: int) -> list[str]:
    parts = [f'<text x="{_LEFT}" y="{_TOP - 12}">faults found, of {faults}</text>']
    for quarter in range(5):
        found = round(faults * quarter / 4)
        y = _y(found, faults)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{found}</text>')
    y = _HEIGHT - _BOTTOM + 20
    parts += [f'<text x="{_x(budget):.1f}" y="{y}" text-anchor="middle">{budget}</text>' for budget in (1, *BUDGETS)]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [*parts, f'<text x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">paid calls</text>']


def _curve(result: ToolResult, faults: int, color: str, index: int) -> list[str]:
    quartiles = {paid: result.quartiles(paid) for paid in range(1, BUDGETS[-1] + 1)}
    median, low, high = (_steps([(_x(paid), _y(q[i], faults)) for paid, q in quartiles.items()]) for i in (1, 0, 2))
    x, y = _WIDTH - _RIGHT + 14, _TOP + 14 + index * 22
    return [
        f'<polygon points="{_render_points([*low, *reversed(high)])}" fill="{color}" fill-opacity="0.2"/>',
        f'<polyline points="{_render_points(median)}" fill="none" stroke="{color}" stroke-width="2"/>',
        f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{color}"/>',
        f'<text x="{x + 18}" y="{y}">{escape(result.tool)}</text>',
    ]


def _steps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of a step line through the points: it keeps the height of a point until the next point."""
    corners = [points[0]]
    for x, y in points[1:]:
        height = corners[-1][1]
        if y != height:
            corners += [(x, height), (x, y)]
    return [*corners, (points[-1][0], corners[-1][1])]


def _render_points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
