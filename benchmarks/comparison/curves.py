"""The curves of faults found by paid calls, as an SVG image and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from comparison.results import BUDGETS, ToolResult, compare_samples

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 720, 400, 60, 50, 30, 190
_COLORS = ("#0b6e4f", "#b3541e", "#4a5899", "#7a7a7a")


def render_table(results: Sequence[ToolResult], faults: int) -> str:
    """Return a Markdown table: the median number of faults found within each budget, with its range over the seeds."""
    lines = ["| paid calls | " + " | ".join(map(str, BUDGETS)) + " |", "|---" * (len(BUDGETS) + 1) + "|"]
    for result in results:
        cells = [_cell(result.found[budget]) for budget in BUDGETS]
        lines.append(f"| {result.tool} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"of {faults} faults; median over {len(results[0].found[10])} seeds (range)"])


def _cell(found: Sequence[int]) -> str:
    median = sorted(found)[len(found) // 2]
    spread = "" if min(found) == max(found) else f" ({min(found)} to {max(found)})"
    return f"{median}{spread}"


def describe_effect(result: ToolResult, budget: int, other: ToolResult, other_budget: int) -> str:
    """Return a line that compares the faults found by two tools, each within its budget."""
    effect = compare_samples(result.found[budget], other.found[other_budget])
    return (
        f"{result.tool} at {budget} to {other.tool} at {other_budget}: median {result.median(budget):g} to "
        f"{other.median(other_budget):g}, A12 = {effect.a12:.2f}, p = {effect.p_value:.3f}"
    )


def render_svg(results: Sequence[ToolResult], faults: int) -> str:
    """Return the curves as SVG: paid calls on a logarithmic axis, the median and the range of faults found above it."""
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


def _x(budget: float) -> float:
    first, last = math.log(BUDGETS[0]), math.log(BUDGETS[-1])
    return _LEFT + (math.log(budget) - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)


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
    parts += [f'<text x="{_x(budget):.1f}" y="{y}" text-anchor="middle">{budget}</text>' for budget in BUDGETS]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [*parts, f'<text x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">paid calls</text>']


def _curve(result: ToolResult, faults: int, color: str, index: int) -> list[str]:
    points = " ".join(f"{_x(budget):.1f},{_y(result.median(budget), faults):.1f}" for budget in BUDGETS)
    parts = [f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>']
    for budget in BUDGETS:
        x, low, high = _x(budget), min(result.found[budget]), max(result.found[budget])
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(low, faults):.1f}" y2="{_y(high, faults):.1f}" '
            f'stroke="{color}" stroke-width="6" stroke-opacity="0.3"/>'
        )
    x, y = _WIDTH - _RIGHT + 14, _TOP + 14 + index * 22
    parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{color}"/>')
    parts.append(f'<text x="{x + 18}" y="{y}">{escape(result.tool)}</text>')
    return parts
