"""States which target is the cheapest, or why the prices are not comparable."""

from __future__ import annotations

import math

from voicegauge.bench.analysis import TargetSummary
from voicegauge.report.text_format import format_usd
from voicegauge.report.verdict.phrases import format_count_with_noun, format_target_names, join_words
from voicegauge.report.verdict.statements import MeasuredRun, VerdictStatement


def build_price_statement(run: MeasuredRun) -> VerdictStatement | None:
    """Return what the verdict says about prices; `None` if nothing was delivered."""
    # By price: of many disputed prices, those that the statement compares are named.
    delivered = sorted(run.targets_with_deliveries, key=_get_price_or_infinity)
    if not delivered:
        return None
    priced = [(target, usd) for target in delivered if (usd := target.cost.comparison_price_usd) is not None]
    reasons = _describe_missing_prices([target for target in delivered if target.cost.comparison_price_usd is None])
    remarks = join_sentences(
        _describe_disputes([target for target in delivered if target.cost.is_price_disputed]),
        _describe_prices_of_others([target for target in delivered if not target.cost.is_price_stated_by_provider]),
    )
    if not priced:
        return _build_statement("no price in dollars", join_sentences(f"{reasons.capitalize()}", remarks))
    cheapest = describe_cheapest_target(priced)
    if reasons:
        among = f"Of the {format_count_with_noun(len(priced), 'target')} with a price in dollars, {cheapest}"
        return _build_statement(f"prices not comparable: {reasons}", join_sentences(among, remarks))
    remark = _format_disputed_remark([target.target for target, _ in priced if target.cost.is_price_disputed])
    if len(priced) == 1:
        return _build_statement(f"{_describe_price(*priced[0])}{remark}", join_sentences(cheapest, remarks))
    lowest = [target.target for target, usd in priced if usd == priced[0][1]]
    if len(lowest) == len(priced):
        return _build_statement(f"all cost the same{remark}", join_sentences(cheapest, remarks))
    verb = "is" if len(lowest) == 1 else "are"
    return _build_statement(
        f"{format_target_names(lowest, lowest[0])} {verb} the cheapest{remark}", join_sentences(cheapest, remarks)
    )


def _get_price_or_infinity(target: TargetSummary) -> float:
    return math.inf if target.cost.comparison_price_usd is None else target.cost.comparison_price_usd


def describe_cheapest_target(priced_targets: list[tuple[TargetSummary, float]]) -> str:
    """Return a sentence with the lowest price and the next higher one, without its full stop.

    The page's script writes the same sentence for another text length.
    """
    (cheapest, usd), *others = priced_targets
    text = f"{cheapest.target} costs {_describe_price(cheapest, usd)}"
    if not cheapest.cost.takes_audio:
        text += f" in texts of {cheapest.cost.text_length:,} characters"
    following = next(((target, other) for target, other in others if other > usd), None)
    if following is None:
        return text
    target, other = following
    return f"{text}, and the next, {target.target}, {format_usd(other)}"


def join_sentences(*sentences: str) -> str:
    """Join texts into sentences with full stops."""
    return " ".join(f"{text.rstrip('.')}." for text in sentences if text)


def _describe_price(target: TargetSummary, usd: float) -> str:
    return f"{format_usd(usd)} for a {'minute of audio' if target.cost.takes_audio else 'million characters'}"


def _describe_missing_prices(targets: list[TargetSummary]) -> str:
    in_credits = [target for target in targets if target.cost.credits_per_request is not None]
    unknown = len(targets) - len(in_credits)
    parts = []
    if in_credits:
        parts.append(
            f"{format_count_with_noun(len(in_credits), 'target')} charge{'s' if len(in_credits) == 1 else ''} credits"
        )
    if unknown:
        parts.append(
            f"{format_count_with_noun(unknown, 'target')} {'has' if unknown == 1 else 'have'} no documented price"
        )
    return join_words(parts)


def _describe_disputes(targets: list[TargetSummary]) -> str:
    if not targets:
        return ""
    names = format_target_names([target.target for target in targets], targets[0].target)
    return (
        f"Disputed, because the provider's documents contradict each other: {names}. "
        "Your own price counts if you gave one, or else the highest documented one"
    )


def _describe_prices_of_others(targets: list[TargetSummary]) -> str:
    if not targets:
        return ""
    names = format_target_names([target.target for target in targets], targets[0].target)
    return f"No document of the provider states a price, only another one that does not bind it: {names}"


def _format_disputed_remark(names: list[str]) -> str:
    if not names:
        return ""
    noun, verb = ("price", "is") if len(names) == 1 else ("prices", "are")
    return f" (the {noun} of {format_target_names(names, names[0])} {verb} disputed)"


def _build_statement(summary: str, detail: str) -> VerdictStatement:
    return VerdictStatement(topic="price", summary=summary, detail=detail)
