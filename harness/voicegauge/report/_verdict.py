"""States the results of a run in words: which targets differ in speed, intelligibility, price and reliability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec

from voicegauge.bench.estimates import Estimate
from voicegauge.bench.resampling import TargetDifferences
from voicegauge.bench.scoring import describe_unjudged_clips
from voicegauge.bench.speech_summaries import ErrorRate
from voicegauge.bench.target_summaries import (
    TargetSummary,
    describe_disturbed_samples,
    describe_lost_samples,
    describe_repeated_submits,
    describe_wrong_audio,
    describe_wrong_charges,
)
from voicegauge.model.base import Provenance, Record
from voicegauge.model.price import explain_price_remarks
from voicegauge.model.run import Manifest, ScoreSet, describe_timing_error
from voicegauge.printable_text import format_count
from voicegauge.report.text_format import (
    MAX_NAMED_TARGETS,
    capitalize_sentence,
    format_error_rate,
    format_factor,
    format_seconds,
    format_target_names,
    format_time,
    format_usd,
    join_words,
)

# Defines the records of a verdict, and the numbers from which it is computed.


VerdictTopic = Literal["rehearsal", "speed", "intelligibility", "price", "reliability"]


class VerdictStatement(Record, frozen=True, kw_only=True):
    """What the verdict of a run says about one topic, such as speed."""

    topic: VerdictTopic
    summary: str
    """A few words without a full stop, as part of the headline."""
    detail: str
    """One or more sentences with the numbers and their uncertainty."""


_StatementSummaryAndDetail = tuple[str, str]
"""The texts of a statement, as `VerdictStatement` explains them."""


class RunVerdict(Record, frozen=True, kw_only=True):
    """The results of one run in words."""

    headline: str
    """The most important results in one sentence."""
    statements: tuple[VerdictStatement, ...]
    """What the numbers say about each topic, in the order in which they are shown."""
    cautions: tuple[str, ...]
    """Sentences that say why the verdict may not hold, or what it does not cover."""


class MeasuredRun(NamedTuple):
    """The numbers of one run from which its verdict is computed."""

    manifest: Manifest
    scores: ScoreSet | None
    targets: Sequence[TargetSummary]
    """All targets, in the order of `differences`."""
    differences: TargetDifferences
    duration_s: float | None = None
    """Time from the first measured request to the end of the last one, in seconds; `None` without any."""
    damaged_audio: str = ""
    """Says which audio files are missing or were changed; empty if none are."""
    ramp_result: str = ""
    """What the ramp found, in one line; empty for a run without a ramp."""
    ramp_samples_note: str = ""
    """Says under which loads of a ramp the counted samples were sent; empty for a run without a ramp."""

    @property
    def has_uneven_languages(self) -> bool:
        """Whether the scored targets were measured in different languages and therefore with different texts."""
        languages = (frozenset(rate.language for rate in target.error_rates_by_language) for target in self.targets)
        return len(set(filter(None, languages))) > 1

    @property
    def targets_with_deliveries(self) -> list[TargetSummary]:
        """The targets of which at least one request succeeded."""
        return [target for target in self.targets if target.failure_count < target.sample_count]

    @property
    def has_interpretable_errors(self) -> bool:
        """Whether the error rates say something about the targets; also true without scores."""
        return self.scores is None or self.scores.is_interpretable

    def find_index(self, target: TargetSummary) -> int:
        """Return the number, counted from 0, that a target has in `differences`."""
        return next(i for i, one in enumerate(self.targets) if one is target)


# States whether the targets differ in recognition errors, and whether the ASR engine is accurate enough to show it.


class _RatedTarget(NamedTuple):
    """A target with the error rate by which it is compared."""

    summary: TargetSummary
    error_rate: ErrorRate


def _describe_intelligibility(run: MeasuredRun) -> _StatementSummaryAndDetail | None:
    """Return what the verdict says about error rates; `None` if nothing was delivered that could be scored."""
    if not run.targets_with_deliveries:
        return None
    rated_targets = _select_rated_targets(run)
    if not rated_targets:
        return ("errors were not counted", "No ASR engine transcribed the audio: `voicegauge score` does.")
    if unusable := _describe_unusable_error_rates(run):
        return unusable
    best, worst = rated_targets[0], rated_targets[-1]
    rate_name = f"{best.error_rate.unit.capitalize()} error rate"
    rate_text = format_error_rate(best.error_rate.corpus_rate)
    rates_text = f"{rate_name} of {best.summary.target}: {rate_text}"
    if best is worst:
        return (f"{rate_name.lower()} {rate_text}", f"{rates_text}.")
    rates_text += f"; of {worst.summary.target}: {format_error_rate(worst.error_rate.corpus_rate)}"
    if not run.differences.has_enough_texts:
        return (
            f"too few texts to compare {run.manifest.quality_name}",
            f"{rates_text}. Differences have an interval from 5 texts on.",
        )
    return _describe_error_rate_difference(run, rated_targets, rates_text)


def _describe_unusable_error_rates(run: MeasuredRun) -> _StatementSummaryAndDetail | None:
    """Return the statement about error rates that say nothing about the targets; `None` if they do."""
    if run.has_uneven_languages:
        return (
            f"{run.manifest.quality_name} not comparable",
            "The targets were not measured in the same languages, so not with the same texts.",
        )
    if run.scores and not run.scores.is_interpretable:
        return (
            f"{run.manifest.quality_name} not measured",
            f"The ASR engine does not know the words of these texts: {run.scores.known_words or 'none is known'}.",
        )
    return None


def _describe_error_rate_difference(
    run: MeasuredRun, rated_targets: list[_RatedTarget], rates_text: str
) -> _StatementSummaryAndDetail:
    best, worst = rated_targets[0], rated_targets[-1]
    difference = run.differences.error_rate.find_interval(run.find_index(worst.summary), run.find_index(best.summary))
    points = difference and f"{difference.low * 100:.1f} to {difference.high * 100:.1f} percentage points"
    interval = f" The difference is {points}." if points else ""
    # Rounded as it is printed: "0.0 to 0.0 percentage points" would read like a difference.
    if difference and round(difference.low, 3) == 0 == round(difference.high, 3):
        interval = " There is no difference."
    doubt = describe_insufficient_asr_accuracy(run)
    detail = " ".join(filter(None, (f"{rates_text}.{interval}", doubt)))
    equal = [one.summary.target for one in rated_targets if one.summary.is_among_most_intelligible]
    if len(equal) == len(rated_targets):
        return (f"no clear difference in {run.manifest.quality_name}", detail)
    claim = f"{best.summary.target} makes the fewest errors"
    if len(equal) > 1:
        claim = describe_inseparable_targets(equal, best.summary.target, "one with the fewest errors")
    if doubt:
        claim += ", by less than the ASR's own error"
    return (claim, detail)


def describe_insufficient_asr_accuracy(run: MeasuredRun) -> str:
    """Return a sentence if the ASR engine's errors exceed the differences between targets; otherwise an empty text."""
    rated_targets = _select_rated_targets(run)
    own_rate = compute_reference_speech_error_rate(run, rated_targets[0].error_rate.unit) if rated_targets else None
    if own_rate is None or len(rated_targets) < 2:
        return ""
    spread = rated_targets[-1].error_rate.corpus_rate.value - rated_targets[0].error_rate.corpus_rate.value
    if spread > own_rate or round(spread, 3) == 0:
        return ""
    return (
        f"The ASR engine's own error rate on clean speech of these texts is {own_rate * 100:.1f}%, at least as much as "
        f"the largest difference between targets ({spread * 100:.1f} percentage points): it swallows such differences."
    )


def compute_reference_speech_error_rate(run: MeasuredRun, unit: Literal["word", "character"]) -> float | None:
    """Return the ASR engine's own error rate on reference speech; `None` if it was not measured."""
    counts = [one for one in run.scores.reference_speech_errors if one.unit == unit] if run.scores else []
    units = sum(one.reference_unit_count for one in counts)
    return sum(one.error_count for one in counts) / units if units else None


def _select_rated_targets(run: MeasuredRun) -> list[_RatedTarget]:
    """Return the targets with a word error rate, or if there are none, with a character error rate; lowest first."""
    words = [_RatedTarget(target, target.wer) for target in run.targets if target.wer]
    rated_targets = words or [_RatedTarget(target, target.cer) for target in run.targets if target.cer]
    return sorted(rated_targets, key=lambda one: one.error_rate.corpus_rate.value)


# States which target is the cheapest, or why the prices are not comparable.


def _describe_price(run: MeasuredRun) -> _StatementSummaryAndDetail | None:
    """Return what the verdict says about prices; `None` if nothing was delivered."""
    delivered = run.targets_with_deliveries
    if not delivered:
        return None
    prices = [(target, target.cost.comparison_price_usd) for target in delivered]
    priced = sorted(((target, usd) for target, usd in prices if usd is not None), key=lambda pair: pair[1])
    reasons = _describe_missing_prices([target for target, usd in prices if usd is None])
    remarks = join_sentences(
        capitalize_sentence(describe_wrong_charges(run.targets)),
        *(one[0].upper() + one[1:] for one in explain_price_remarks([one.cost.comparison_price for one in delivered])),
    )
    if not priced:
        return ("no price of a provider in dollars", join_sentences(f"{reasons.capitalize()}", remarks))
    cheapest = describe_cheapest_target(priced)
    if reasons:
        among = f"Of the {format_count(len(priced), 'target')} with a price in dollars, {cheapest}"
        return (f"prices not comparable: {reasons}", join_sentences(among, remarks))
    return (_summarize_prices(priced), join_sentences(cheapest, remarks))


def _summarize_prices(targets_with_prices: Sequence[tuple[TargetSummary, float]]) -> str:
    """Return "x is the cheapest", or one target's price. `targets_with_prices`: with dollars, the lowest first."""
    if len(targets_with_prices) == 1:
        return _format_price_of_target(targets_with_prices[0][0])
    lowest = [target for target, usd in targets_with_prices if usd == targets_with_prices[0][1]]
    if len(lowest) == len(targets_with_prices):
        return "all cost the same"
    names = [target.target for target in lowest]
    verb = "is" if len(names) == 1 else "are"
    others = [target.cost.comparison_price for target, _ in targets_with_prices if target not in lowest]
    is_sure = all(one.cost.comparison_price.is_surely_below(other) for one in lowest for other in others)
    claim = "the cheapest" if is_sure else "not surely the cheapest: the ranges of prices overlap"
    return f"{format_target_names(names, names[0])} {verb} {claim}"


def describe_cheapest_target(priced_targets: list[tuple[TargetSummary, float]]) -> str:
    """Return a sentence with the lowest price and the next higher one, without its full stop.

    The page's script writes the same sentence for another text length. The targets begin with the cheapest one.
    """
    (cheapest, usd), *others = priced_targets
    text = f"{cheapest.target} costs {_format_price_of_target(cheapest)}"
    if not cheapest.cost.takes_audio:
        text += f" in texts of {cheapest.cost.text_length:,} characters"
    following = next((target for target, other in others if other > usd), None)
    if following is None:
        return text
    return f"{text}, and the next, {following.target}, {following.cost.comparison_price.describe()}"


def join_sentences(*sentences: str) -> str:
    """Join texts as sentences, each with a full stop; empty texts are left out."""
    return " ".join(f"{text.rstrip('.')}." for text in sentences if text)


def _format_price_of_target(target: TargetSummary) -> str:
    price = target.cost.comparison_price.describe()
    return f"{price} for a {'minute of audio' if target.cost.takes_audio else 'million characters'}"


def _describe_missing_prices(targets: list[TargetSummary]) -> str:
    of_others = [target for target in targets if target.cost.comparison_price.high_usd is not None]
    in_credits = [t for t in targets if t not in of_others and t.cost.credits_per_request is not None]
    unknown = len(targets) - len(in_credits) - len(of_others)
    parts = []
    if of_others:
        parts.append(
            f"{format_count(len(of_others), 'target')} {'has' if len(of_others) == 1 else 'have'} no price "
            "of the provider, only upper bounds or prices of third parties"
        )
    if in_credits:
        parts.append(f"{format_count(len(in_credits), 'target')} charge{'s' if len(in_credits) == 1 else ''} credits")
    if unknown:
        parts.append(f"{format_count(unknown, 'target')} {'has' if unknown == 1 else 'have'} no documented price")
    return join_words(parts)


# States how many requests failed, and why.


_WORDS_BY_FAILURE_KIND = {
    "audio": "with audio that cannot be used",
    "protocol": "with a response that cannot be understood",
}
"""Phrases for kinds of failure whose names are not clear in a sentence."""


def _describe_reliability(run: MeasuredRun) -> _StatementSummaryAndDetail:
    """Return what the verdict says about failed requests."""
    if not any(target.sample_count for target in run.targets):
        return ("", "No request has a saved result.")
    failing = [target for target in run.targets if target.failure_count]
    samples = sum(target.sample_count for target in run.targets)
    wrong_audio, listening_sentences = _summarize_wrong_audio(run), _describe_listening(run)
    lost_count = sum(target.lost_count for target in run.targets)
    loss = f"{format_count(lost_count, 'sample')} lost" if lost_count else ""
    if not failing:
        verb = "delivered audio" if wrong_audio else "succeeded"
        succeeded = f"All {samples:,} requests {verb}" if samples > 1 else f"The request {verb}"
        if loss:
            succeeded = f"{samples:,} of {samples + lost_count:,} requests {verb}"
        return (
            "; ".join(filter(None, (wrong_audio, loss))),
            join_sentences(succeeded, describe_lost_samples(run.targets), listening_sentences),
        )
    lost = [target.target for target in failing if target.failure_count == target.sample_count]
    partly = [target for target in failing if target.failure_count < target.sample_count]
    lost_names = f"{format_target_names(lost, lost[0])} delivered nothing" if lost else ""
    parts = [*filter(None, [lost_names]), *map(_describe_failure_share, partly)]
    summary = parts[0] if len(parts) == 1 else f"{format_count(len(failing), 'target')} failed requests"
    failing.sort(key=lambda target: -target.failure_count / target.sample_count)
    named_targets, other_targets = failing[:MAX_NAMED_TARGETS], failing[MAX_NAMED_TARGETS:]
    sentences = [
        f"{_describe_failure_share(target)}: {_join_failure_kinds(Counter(target.failure_count_by_kind))}"
        for target in named_targets
    ]
    if other_targets:
        requests = format_count(sum(target.failure_count for target in other_targets), "request")
        sentences.append(f"{format_count(len(other_targets), 'other')} failed {requests}")
    return (
        "; ".join(filter(None, (summary, wrong_audio, loss))),
        join_sentences(". ".join(sentences), describe_lost_samples(run.targets), listening_sentences),
    )


def _summarize_wrong_audio(run: MeasuredRun) -> str:
    """Return how many clips do not say their text, for the headline.

    If none is known to be wrong, return which targets have doubtful clips only; empty without such targets. In a
    rehearsal of several targets none is named: it would read as worse than the others.
    """
    is_nameless = run.manifest.is_rehearsal and len(run.targets) > 1
    wrong = [target for target in run.targets if target.wrong_count]
    if not wrong:
        doubtful = [one for one in run.targets if one.listening is not None and one.listening.is_doubtful_throughout]
        if not doubtful:
            return ""
        names = format_target_names([target.target for target in doubtful], doubtful[0].target)
        names = format_count(len(doubtful), "target") if is_nameless else names
        return f"it is doubtful whether any clip of {names} says its text"
    count = sum(target.wrong_count for target in wrong)
    names = "" if is_nameless else f" of {format_target_names([target.target for target in wrong], wrong[0].target)}"
    return f"{format_count(count, 'clip')}{names} {'has' if count == 1 else 'have'} wrong audio"


def _describe_listening(run: MeasuredRun) -> str:
    """Return sentences about the targets with wrong or doubtful clips, and about clips that were not judged."""
    texts_by_target = [(target.target, text) for target in run.targets if (text := describe_wrong_audio(target))]
    sentences = [f"{name}: {text}" for name, text in texts_by_target[:MAX_NAMED_TARGETS]]
    if len(texts_by_target) > MAX_NAMED_TARGETS:
        sentences.append(f"{len(texts_by_target) - MAX_NAMED_TARGETS} other targets have wrong or doubtful audio")
    summaries = [target.listening for target in run.targets if target.listening is not None]
    if summaries and not texts_by_target:
        right_count = sum(one.right_count for one in summaries)
        sentences.append(f"{format_count(right_count, 'clip')} {'says' if right_count == 1 else 'say'} the text")
    if unjudged := describe_unjudged_clips(summaries):
        sentences.append(capitalize_sentence(unjudged))
    return ". ".join(sentences)


def _describe_total_failure(run: MeasuredRun) -> str:
    """Return the headline of a run in which no request succeeded."""
    kinds = Counter[str]()
    for target in run.targets:
        kinds.update(target.failure_count_by_kind)
    if not kinds:
        return "No request was measured."
    if set(kinds) == {"network"}:
        where = "the service" if len({target.target.split("/")[0] for target in run.targets}) == 1 else "the services"
        return f"Nothing was measured: {where} could not be reached."
    return f"Nothing was measured: every request failed ({_join_failure_kinds(kinds)})."


def _describe_failure_share(target: TargetSummary) -> str:
    return f"{target.target} failed {target.failure_count} of {format_count(target.sample_count, 'request')}"


def _join_failure_kinds(kinds: Counter[str]) -> str:
    return ", ".join(
        f"{count} {_WORDS_BY_FAILURE_KIND.get(kind, kind.replace('_', ' '))}" for kind, count in kinds.most_common()
    )


# States which targets are the fastest, and by how much.


def _describe_speed(run: MeasuredRun) -> _StatementSummaryAndDetail | None:
    """Return what the verdict says about total latency; `None` if no target has a total latency."""
    timed = sorted(
        ((target, target.total_latency_ms) for target in run.targets if target.total_latency_ms),
        key=lambda pair: pair[1].value,
    )
    if not timed:
        return None
    (best, time), *others = timed
    result = "transcript" if run.manifest.kind == "transcription" else "audio"
    median = f"Median time until the {result} was complete: {_describe_latencies_of_targets(timed)}."
    if any(target.completion_ms for target, _ in timed):
        median += " The times of jobs include the wait for the poll that saw their end."
    if not others:
        return (f"{best.target} takes {format_time(time)}", median)
    if not run.differences.has_enough_texts:
        return ("too few texts to compare speed", f"{median} Differences have an interval from 5 texts on.")
    equal = [target.target for target, _ in timed if target.is_among_fastest]
    slower = [target for target, _ in timed if not target.is_among_fastest]
    if not slower:
        return ("no clear difference in speed", median)
    factor = run.differences.estimate_latency_ratio(run.find_index(slower[0]), run.find_index(best))
    lead = f"{format_factor(factor)} as fast as {slower[0].target}" if factor else "fastest"
    if len(equal) == 1:
        return (f"{best.target} is {lead}{', the next' if len(slower) > 1 else ''}", median)
    summary = describe_inseparable_targets(equal, best.target, "fastest")
    rest = f"{format_count(len(slower), 'target')} {'is' if len(slower) == 1 else 'are'} slower"
    return (summary, f"{rest}: {best.target} is {lead}. {median}")


def describe_inseparable_targets(target_names: Sequence[str], best_target: str, superlative: str) -> str:
    """Return the statement about targets that cannot be distinguished from the best one."""
    others = [name for name in target_names if name != best_target]
    if len(others) > MAX_NAMED_TARGETS:
        return f"{len(others):,} targets cannot be distinguished from the {superlative}, {best_target}"
    return f"{join_words(others)} cannot be distinguished from the {superlative}, {best_target}"


def _describe_latencies_of_targets(timed_targets: list[tuple[TargetSummary, Estimate]]) -> str:
    shown = timed_targets if len(timed_targets) <= 3 else [timed_targets[0], timed_targets[1], timed_targets[-1]]
    names = ", ".join(f"{target.target} {format_time(time)}" for target, time in shown)
    unnamed_count = len(timed_targets) - len(shown)
    return f"{names}; {format_count(unnamed_count, 'other')} between" if unnamed_count else names


# States what a run shows in which the emulator or a stand-in answered instead of the named services.


def _describe_rehearsal(run: MeasuredRun) -> _StatementSummaryAndDetail:
    """Return what the verdict says about a run in which something else answered than the named services."""
    is_emulated = run.manifest.provenance is not Provenance.LIVE
    answered_by = "voicegauge's emulator" if is_emulated else "a server on this machine, in place of the service,"
    samples = sum(target.sample_count for target in run.targets)
    requested = sum(target.requested_count for target in run.targets)
    delivered = samples - sum(target.failure_count for target in run.targets)
    result = "transcripts" if run.manifest.kind == "transcription" else "audio"
    summary = (
        f"{run.manifest.rehearsal_label}: {delivered:,} of "
        f"{format_count(requested, 'request')} to {format_count(len(run.targets), 'target')} "
        f"delivered {result}"
    )
    if len(run.targets) > 1 and (wrong := _summarize_wrong_audio(run)):
        summary += f"; {wrong}"  # of a single target, the headline has it as its reliability
    detail = (
        f"Every response came from {answered_by}, so that times and errors say nothing about the services, and no "
        "service is compared with another. It shows that the requests, the audio and this page work."
    )
    return (summary, join_sentences(detail, _describe_documented_cost(run), _describe_duration(run)))


def _describe_duration(run: MeasuredRun) -> str:
    """Return a sentence about how long the measured requests took, and what decides that live; empty without any."""
    if run.duration_s is None:
        return ""
    invented = "invented times" if run.manifest.provenance is not Provenance.LIVE else "the times of that server"
    return (
        f"They took {format_seconds(run.duration_s)} with {invented}; live, the times of the services and the rate "
        "limits of your plans decide that"
    )


def _describe_documented_cost(run: MeasuredRun) -> str:
    """Return a sentence about what the counted requests cost at documented prices; empty if no price is known.

    Warm-ups, which are charged too, have no prices in the summaries: the sentence says that they are not included.
    """
    prices = [
        (usd, target.sample_count) for target in run.targets if (usd := target.cost.price_per_request.usd) is not None
    ]
    if not prices:
        return ""
    usd = sum(price * count for price, count in prices)
    others = len(run.targets) - len(prices)
    verb = "has" if others == 1 else "have"
    left_out = [
        *(["warm-ups (charged too)"] if run.manifest.warmup_request_count else []),
        *([f"{format_count(others, 'target')} that {verb} no price in dollars"] if others else []),
    ]
    without = f", without {' and without '.join(left_out)}" if left_out else ""
    return f"At the documented prices, the same requests cost about {format_usd(usd)} live{without}"


# Builds the verdict of a run from the statements on speed, intelligibility, price and reliability.


def build_run_verdict(run: MeasuredRun, decision: str = "") -> RunVerdict:
    """Return the verdict of `run`: sentences about its numbers, each with the uncertainty of the numbers.

    Args:
        run: the numbers of the run.
        decision: `Ranking.decision`, which is the headline if there is one; otherwise the facts are. The headline of a
            ramp begins with what it found.
    """
    verdict = _build_verdict_of_targets(run, decision)
    if not run.ramp_result:
        return verdict
    headline = f"{_mark_rehearsal(run, f'Ramp: {run.ramp_result}')}. {verdict.headline}"
    return msgspec.structs.replace(verdict, headline=headline)


def _build_verdict_of_targets(run: MeasuredRun, decision: str) -> RunVerdict:
    if not run.targets_with_deliveries:
        return RunVerdict(
            headline=_mark_rehearsal(run, _describe_total_failure(run)),
            statements=_build_statements(run, "reliability"),
            cautions=_list_cautions(run),
        )
    if run.manifest.is_rehearsal:
        rehearsal = _build_statements(run, "rehearsal", "reliability")
        # Of several targets the headline names none: who failed in a rehearsal would read as worse than the others.
        in_headline = rehearsal if len(run.targets) == 1 else rehearsal[:1]
        return RunVerdict(headline=_join_headline(in_headline), statements=rehearsal, cautions=_list_cautions(run))
    statements = _build_statements(run, "speed", "intelligibility", "price", "reliability")
    headline = _join_headline(statements)
    if decision:
        charges = describe_wrong_charges(run.targets)
        headline = "; ".join(filter(None, (decision, charges))) + "."
    return RunVerdict(headline=headline, statements=statements, cautions=_list_cautions(run))


_DESCRIBE_BY_TOPIC: dict[VerdictTopic, Callable[[MeasuredRun], _StatementSummaryAndDetail | None]] = {
    "rehearsal": _describe_rehearsal,
    "speed": _describe_speed,
    "intelligibility": _describe_intelligibility,
    "price": _describe_price,
    "reliability": _describe_reliability,
}


def _build_statements(run: MeasuredRun, *topics: VerdictTopic) -> tuple[VerdictStatement, ...]:
    """Return a statement about each of `topics` of which there is something to say."""
    texts = [(topic, _DESCRIBE_BY_TOPIC[topic](run)) for topic in topics]
    return tuple(VerdictStatement(topic=topic, summary=found[0], detail=found[1]) for topic, found in texts if found)


def _mark_rehearsal(run: MeasuredRun, sentence: str) -> str:
    """Return `sentence`, with the label of a rehearsal before it if the run is one."""
    label = run.manifest.rehearsal_label
    return f"{label}: {sentence}" if label else sentence


def _join_headline(statements: tuple[VerdictStatement, ...]) -> str:
    """Join the summaries of a verdict's `statements` into one sentence."""
    return "; ".join(statement.summary for statement in statements if statement.summary) + "."


def _list_cautions(run: MeasuredRun) -> tuple[str, ...]:
    cautions = (
        [f"Audio: {run.damaged_audio}. The numbers are of the audio that was measured."] if run.damaged_audio else []
    )
    if run.targets_with_deliveries and run.scores and run.scores.has_closed_vocabulary:
        known = run.scores.known_words or "made for the bundled suites, unusable on your own texts"
        advice = " Compare its error rates with each other, not with published ones."
        has_advice = run.scores.is_interpretable and not run.manifest.rehearsal_label  # which compares nobody
        cautions.append(
            f"Closed vocabulary: {run.scores.asr} counted the errors; {known}.{advice if has_advice else ''}"
        )
    if run.targets_with_deliveries and (busy := describe_disturbed_samples(run.targets)):
        error = run.manifest.timing_error
        cautions.append(
            f"Busy machine: {busy}."
            + (f" Error of times: {describe_timing_error(error)}." if error is not None else "")
        )
    cautions += [f"Repeated requests: {repeated}." for repeated in describe_repeated_submits(run.targets)]
    if run.ramp_samples_note:
        cautions.append(f"Ramp: {run.ramp_samples_note}.")
    if run.manifest.early_stop is not None:
        cautions.append(
            f"{_mark_rehearsal(run, 'Early stop')}: {run.manifest.early_stop.describe()}. The 95% intervals of a run "
            "that stopped early do not allow for that."
        )
    if not run.manifest.is_finished:
        cautions.append(
            "Interrupted: the run is not complete, because it was stopped or a job is still open. "
            "The samples so far are shown."
        )
    if run.scores and run.scores.unsupported_languages:
        cautions.append(
            f"Not scored: {', '.join(run.scores.unsupported_languages)}. "
            "The ASR engine does not support these languages."
        )
    return tuple(cautions)
