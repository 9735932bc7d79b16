"""The result of a comparison of runs: its settings, the verdict on each metric, and what both say in words.

Many metrics are tested at once, so the p-values are corrected (Holm 1979): `alpha` is the
probability that any metric of any target is falsely called a regression. Intervals are computed
at the level at which Holm's procedure tested their metric, so that an interval excludes 0 exactly
if the change is significant. Parts of the latency are a family of their own with a fifth of `alpha`:
they say what a slowdown consists of, and must not make it harder to find. Voices and their steadiness are another
family, with a twentieth.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from voicegauge.bench._change_estimates import (
    DEFAULT_LATENCY_VARIATION,
    MIN_RUNS_TO_MEASURE_VARIATION,
)
from voicegauge.bench._metric_changes import TOO_FEW_TEXTS_NOTE
from voicegauge.bench._target_comparison import (
    STEADINESS_METRICS,
    UNITS_BETTER_IF_HIGHER,
    VOICE_MEASURES,
    MetricId,
    MetricUnit,
)
from voicegauge.bench.estimates import MIN_TEXTS_FOR_INTERVAL
from voicegauge.model.base import Provenance, Record
from voicegauge.model.run import KnownWords, RunKind
from voicegauge.outputs.result_summary import SummarizedResult
from voicegauge.printable_text import format_count

ErrorControl = Literal["any", "discoveries"]
"""What limits false regressions; see `CompareSettings.error_control`."""
ChangeVerdict = Literal["regression", "improvement", "no evidence", "underpowered"]
"""Verdict on a change. "underpowered": the interval does not exclude a change that should have been found."""
METRICS_THAT_EXPLAIN_TOTAL_LATENCY = ("submit_latency_ms", "ttfa_ms", "completion_ms", "total_latency_p95_ms")
"""Metrics that show where a slower total latency comes from: its phases, and its slowest requests."""


class ChangeThreshold(Record, frozen=True, kw_only=True):
    """The smallest changes of one metric that matter.

    They are relative for times, prices, paces and frequencies, and differences for rates (0.02 is two percentage
    points), ratings, similarities and levels.
    """

    min_change: float
    """Smallest change that can be a regression. A smaller one never is, even if it is statistically significant."""
    required_detectable_change: float
    """Size of the change that a comparison must be able to detect. The comparison is underpowered if the interval
    of the measured change does not exclude a change of this size."""


PAIRED_CHANGE_NOTE = (
    "A change of a time is the typical difference of the same text on both sides (the median over pairs of texts), so "
    "it need not be the ratio of the two medians beside it."
)
"""Sentence below a table: why a change is not the difference of the two values beside it."""


class CompareSettings(Record, frozen=True, kw_only=True):
    """Statistical settings of a comparison, and the smallest changes that matter."""

    alpha: float = 0.01
    """Probability that any metric of any target is falsely called a regression; with `error_control` "discoveries", the
    share of regressions that may be false."""
    error_control: ErrorControl = "any"
    """What `alpha` limits: the probability of any false regression, or the share of false ones ("discoveries")."""
    assumed_variation: float = DEFAULT_LATENCY_VARIATION
    """Relative spread of latency between runs that is assumed until enough runs show it; 0.1 is 10%."""
    latency_threshold: ChangeThreshold = ChangeThreshold(min_change=0.05, required_detectable_change=0.30)
    """For rises of latencies, relative."""
    error_rate_threshold: ChangeThreshold = ChangeThreshold(min_change=0.02, required_detectable_change=0.05)
    """For rises of word and character error rates."""
    failure_rate_threshold: ChangeThreshold = ChangeThreshold(min_change=0.02, required_detectable_change=0.10)
    """For rises of the shares of failed requests and of wrong audio."""
    rating_threshold: ChangeThreshold = ChangeThreshold(min_change=0.1, required_detectable_change=0.3)
    """For falls of mean predicted ratings, which are numbers from 1 to 5."""
    voice_threshold: ChangeThreshold = ChangeThreshold(min_change=0.025, required_detectable_change=0.10)
    """For changes of pace, pitch and spectrum in either direction, relative."""
    similarity_threshold: ChangeThreshold = ChangeThreshold(min_change=0.15, required_detectable_change=0.30)
    """For falls of the similarity to the voice sample."""
    steadiness_threshold: ChangeThreshold = ChangeThreshold(min_change=0.03, required_detectable_change=0.10)
    """For rises of the differences between deliveries of one text; 0.03 is three percentage points."""
    level_threshold: ChangeThreshold = ChangeThreshold(min_change=1.0, required_detectable_change=3.0)
    """For rises of the differences of loudness between deliveries of one text, in dB."""
    # A price is known, not estimated: any change beyond rounding counts.
    price_threshold: ChangeThreshold = ChangeThreshold(min_change=0.001, required_detectable_change=0.001)
    seed: int = 0
    """Seed of the random draws of the comparison."""

    def get_threshold(self, metric: MetricId) -> ChangeThreshold:
        """Return the smallest changes of `metric` that matter, as these settings give them."""
        thresholds = {
            **dict.fromkeys(("wer", "cer"), self.error_rate_threshold),
            **dict.fromkeys(("failures", "wrong_audio"), self.failure_rate_threshold),
            **dict.fromkeys(("overall_rating", "background_rating"), self.rating_threshold),
            **dict.fromkeys(VOICE_MEASURES, self.voice_threshold),
            "voice_similarity": self.similarity_threshold,
            **dict.fromkeys(STEADINESS_METRICS, self.steadiness_threshold),
            "level_difference_db": self.level_threshold,
            **dict.fromkeys(("price", "charged"), self.price_threshold),
        }
        return thresholds.get(metric, self.latency_threshold)


class ComparedRun(Record, frozen=True, kw_only=True):
    """One of the compared runs: its id, how it was measured, and how many of its samples count."""

    run_id: str
    created_at: str
    """When the run was started, in ISO 8601 format."""
    is_finished: bool
    """Whether the run measured all that was planned."""
    fault_ids: tuple[str, ...] = ()
    """Ids of the faults that were injected into the emulator, sorted."""
    region: str | None = None
    """Where the run was measured from, as the user named it; `None` if it was not named."""
    places: tuple[str, ...] = ()
    """The places of the workers whose samples are compared, sorted; empty if one machine sent all requests."""
    uses_http2: bool = False
    """Whether HTTP/2 was used with servers that support it."""
    base_urls: dict[str, str] = {}
    """Base URL by server for the servers whose documented base URL was replaced."""
    load_description: str
    """Load under which the samples were sent, such as "16 requests in flight"; for a ramp, the highest load that met
    the goal."""
    session_count: int
    """Number of sessions of the run."""
    sample_count: int
    """Number of samples that are compared, without warm-up samples and other loads of a ramp."""


class MetricComparison(Record, frozen=True, kw_only=True):
    """Verdict on one metric of one target."""

    target: str
    """Id of the target."""
    baseline_target: str
    """Target that the baseline measured; it differs from `target` only if two targets of one run were compared."""
    metric: MetricId
    unit: MetricUnit
    verdict: ChangeVerdict
    baseline_value: float
    """Value of the metric in the baseline, in `unit`."""
    run_value: float
    """Value of the metric in the compared run, in `unit`."""
    change: float
    """Change from the baseline to the run.

    It is relative for times, prices, paces and frequencies, and a difference for rates (0.02 is two percentage points),
    levels, and ratings and similarities, which are better if they are higher.
    """
    interval_low: float | None
    """Lower end of the interval of `change`; `None` if there are too few data.

    Its confidence level is `interval_level`.
    """
    interval_high: float | None
    """Upper end of the interval of `change`; `None` if there are too few data, or, with a lower end, if nothing bounds
    the change, as for prices by usage whose least amount no document states."""
    interval_level: float | None = None
    """Confidence level of the interval, such as 0.998; `None` without an interval."""
    p_value: float | None
    """Two-sided p-value of "nothing changed", before the correction for the number of metrics; `None` if there are too
    few data, or if the change is known exactly."""
    detectable_change: float | None
    """Smallest true worsening that would have been called a regression in 80% of cases, in the unit of `change`; `None`
    if there are too few data, or if no worsening would have been."""
    baseline_sample_count: int
    """Number of samples of the baseline from which the value was computed."""
    run_sample_count: int
    """Number of samples of the compared run from which the value was computed."""
    note: str = ""
    """Why there is no interval, or how the change was computed; empty if there is nothing to explain."""

    def describe_verdict(self) -> str:
        """Return the verdict in words; if two targets were compared, words such as "slower" or "cheaper".

        Two targets differ without anything having become worse, so the words of changes do not fit them.
        """
        if self.target == self.baseline_target or self.verdict not in ("regression", "improvement"):
            return self.verdict
        is_worse = self.verdict == "regression"
        if self.unit == "ms":
            return "slower" if is_worse else "faster"
        if self.metric in ("price", "charged"):
            return "more expensive" if is_worse else "cheaper"
        return "worse" if is_worse else "better"


def _compute_worsening(metric: MetricComparison) -> float:
    """Return by how much a metric is worse, in the unit of its change; negative if it is better."""
    if metric.metric in VOICE_MEASURES:
        return abs(metric.change)
    return -metric.change if metric.unit in UNITS_BETTER_IF_HIGHER else metric.change


class RunComparison(SummarizedResult, frozen=True, kw_only=True):
    """The JSON that `voicegauge compare --json` writes."""

    schema: str = "voicegauge/compare/4"
    provenance: Provenance
    rehearsal_label: str = ""
    """"EMULATED" or "REHEARSAL" (a server on this machine answered for a hosted service), with the injected faults:
    then no number describes a provider. Empty if the named services answered themselves."""
    run_kind: RunKind
    """What the runs measured: speech, transcription or conversion."""
    suite: str
    baseline: tuple[ComparedRun, ...]
    """The runs of the baseline, oldest first; `run` alone if two targets of one run were compared."""
    run: ComparedRun
    settings: CompareSettings
    asr: str | None
    """ASR engine whose scores were compared; `None` if a run has no scores."""
    known_words: KnownWords | None = None
    """How many words of the texts of the run this engine knows; `None` if it knows every word, or without scores. If it
    lacks more than `MAX_UNKNOWN_WORD_SHARE`, error rates are not compared."""
    listening_method: str | None = None
    """How the audio of all runs was judged; `None` if it was not, or not in the same way."""
    listening_note: str = ""
    """Why the runs are not compared by what their audio says; empty if they are."""
    quality_note: str = ""
    """Why predicted ratings are not compared, although a run has some; empty otherwise."""
    voice_note: str = ""
    """Why voices, or their similarity to the voice sample, are not compared, although a run has them; empty
    otherwise."""
    clips_left_out: tuple[str, ...] = ()
    """For each target with clips that are wrong or copies of another, how many do not count in its ratings and its
    voice."""
    metrics: tuple[MetricComparison, ...]
    targets_only_in_baseline: tuple[str, ...]
    """Ids of the targets that only the baseline measured."""
    targets_only_in_run: tuple[str, ...]
    """Ids of the targets that only the run measured."""
    common_text_count: int
    """Number of texts that both the baseline and the run measured; times, errors and charges are compared on them."""
    text_count_only_in_baseline: int
    """Number of texts that only the baseline measured."""
    text_count_only_in_run: int
    """Number of texts that only the run measured."""
    text_count_from_other_places: int = 0
    """Number of texts that both measured, but from other places (`bench --dask`) or in other shares. 0 if the places of
    the runs differ: `ComparedRun.places` names these."""
    targets_without_audio_in_baseline: tuple[str, ...]
    """Ids of targets in both runs that have no usable audio (for speech to text: no transcript) in the baseline.

    They have no error rate there, so their error rates are not compared.
    """
    targets_without_audio_in_run: tuple[str, ...]
    """Ids of targets in both runs that have no usable audio (for speech to text: no transcript) in the run. Their error
    rates are not compared."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what is not compared, and on which clips do not count."""
        return (*filter(None, (self.listening_note, self.quality_note, self.voice_note)), *self.clips_left_out)

    @property
    def regressions(self) -> tuple[MetricComparison, ...]:
        """The comparisons of the metrics that regressed."""
        return tuple(metric for metric in self.metrics if metric.verdict == "regression")

    @property
    def unproven_worsenings(self) -> tuple[MetricComparison, ...]:
        """The metrics that are worse by at least what a comparison should find, but not proven to be, worst first."""
        found = (
            one
            for one in self.metrics
            if one.verdict == "underpowered"
            and _compute_worsening(one) >= self.settings.get_threshold(one.metric).required_detectable_change
        )
        return tuple(sorted(found, key=_compute_worsening, reverse=True))

    @property
    def has_measured_variation(self) -> bool:
        """Whether the baseline has enough runs to show how much the service differs between runs."""
        return len(self.baseline) >= MIN_RUNS_TO_MEASURE_VARIATION

    def group_metrics_by_cause(self, verdict: ChangeVerdict) -> list[tuple[MetricComparison, ...]]:
        """Return the metrics with this verdict, grouped by target and cause, the total latency first in its group.

        A slowdown changes the total latency and its parts, such as the time to first audio: it is one change.
        """
        groups: dict[tuple[str, str], list[MetricComparison]] = {}
        for metric in self.metrics:
            if metric.verdict == verdict:
                cause = "time" if metric.unit == "ms" else metric.metric
                groups.setdefault((metric.target, cause), []).append(metric)
        return [
            tuple(sorted(group, key=lambda metric: metric.metric != "total_latency_ms")) for group in groups.values()
        ]

    def describe_verdict_counts(self) -> str:
        """Return how many changes there are, and how many metrics could not be judged, in one line."""
        parts = []
        other = next((one.baseline_target for one in self.metrics if one.target != one.baseline_target), None)
        verdicts: tuple[ChangeVerdict, ...] = ("regression", "improvement")
        for verdict, word in zip(verdicts, ("worse", "better"), strict=True):
            groups = self.group_metrics_by_cause(verdict)
            metrics = sum(map(len, groups))
            text = f"{len(groups)} {word}" if other else format_count(len(groups), verdict)
            parts.append(text if metrics == len(groups) else f"{text} (in {metrics} metrics)")
        counts = {
            verdict: sum(one.verdict == verdict for one in self.metrics) for verdict in ("no evidence", "underpowered")
        }
        parts += [f"{count} {verdict}" for verdict, count in counts.items()]
        if unproven := len(self.unproven_worsenings):
            # The last part is the number of metrics that could not be judged, to which these belong.
            parts[-1] += f" ({unproven} of them much worse)"
        return f"compared with {other}: {', '.join(parts)}" if other else ", ".join(parts)

    def list_shown_metrics(self) -> list[MetricComparison]:
        """Return the metrics to show: regressions, improvements, unproven worsenings, and some total latencies.

        The total latency of a target is among them if it could not be judged. If nothing regressed or improved, the
        total latencies of all targets are among them, and one metric of each target with too few texts.
        """
        changed = [one for one in self.metrics if one.verdict in ("regression", "improvement")]
        unjudged = [one for one in self.metrics if one.note == TOO_FEW_TEXTS_NOTE]
        by_target: dict[str, MetricComparison] = {}
        for metric in sorted(unjudged, key=lambda one: one.metric != "total_latency_ms"):
            by_target.setdefault(metric.target, metric)
        latencies = [one for one in self.metrics if one.metric == "total_latency_ms"]
        shown = [*changed, *self.unproven_worsenings]
        shown += [one for one in by_target.values() if one not in shown and not changed]
        shown += [one for one in latencies if one not in shown and (not changed or one.verdict == "underpowered")]
        return shown

    def describe_unproven_worsenings(self) -> list[str]:
        """Return a line for each reason for which shown metrics look much worse, but could not be judged."""
        names_by_reason: dict[str, list[str]] = {}
        for one in self.list_shown_metrics():
            if one in self.unproven_worsenings:
                counts = f"{one.baseline_sample_count:,} samples in the baseline, {one.run_sample_count:,} in the run"
                has_interval = one.interval_low is not None
                reason = f"its interval includes no change ({counts})" if has_interval else one.note or "too few data"
                names_by_reason.setdefault(reason, []).append(f"{one.metric} of {one.target}")
        return [
            f"much worse, but not judged: {', '.join(names)}: {reason}" for reason, names in names_by_reason.items()
        ]

    def describe_base_urls(self) -> str:
        """Return in one line the base URLs of the compared targets that differ between the runs; empty for none."""
        providers = {target.partition("/")[0] for one in self.metrics for target in (one.target, one.baseline_target)}
        servers = dict.fromkeys(server for run in (*self.baseline, self.run) for server in run.base_urls)
        differences = []
        for server in servers:
            before = dict.fromkeys(run.base_urls.get(server, "the documented URL") for run in self.baseline)
            after = self.run.base_urls.get(server, "the documented URL")
            if server.partition("/")[0] in providers and list(before) != [after]:
                differences.append(f"{server}: {', '.join(before)} in the baseline, {after} in the run")
        return f"measured at different base URLs: {'; '.join(differences)}" if differences else ""

    def list_warnings_about_wrong_audio(self) -> list[str]:
        """Return a warning for each target of which at least half of the judged audio of one side is wrong."""
        return [
            f"WARNING: {one.target}: the audio of {one.baseline_value:.0%} of the samples of the baseline and of "
            f"{one.run_value:.0%} of the run is wrong: their times say little about speech"
            for one in self.metrics
            if one.metric == "wrong_audio" and max(one.baseline_value, one.run_value) >= 0.5
        ]

    def describe_too_few_texts(self) -> str:
        """Return why metrics have no interval, and what to run, in one sentence; empty if there are enough texts."""
        count = sum(one.note == TOO_FEW_TEXTS_NOTE for one in self.metrics)
        metrics = format_count(count, "metric")
        enough = f"`bench --limit {MIN_TEXTS_FOR_INTERVAL}` or more on both sides"
        return f"{metrics} not judged: {TOO_FEW_TEXTS_NOTE}; measure with {enough}" if count else ""

    def describe_texts_from_other_places(self) -> str:
        """Return how many texts were measured from other places in the run, in words; empty for none."""
        if not self.text_count_from_other_places:
            return ""
        return (
            f"{self.text_count_from_other_places} of {format_count(self.common_text_count, 'text')} were measured from "
            "other places: --place NAME compares one place"
        )

    def describe_text_overlap(self) -> str:
        """Return how many texts both sides have, in words; empty if both have the same texts."""
        alone = self.text_count_only_in_baseline + self.text_count_only_in_run
        if not alone:
            return ""
        only = "1 text is" if alone == 1 else f"{alone} texts are"
        sides = f"{self.text_count_only_in_baseline} in the baseline, {self.text_count_only_in_run} in the run"
        return f"only {format_count(self.common_text_count, 'common text')}; {only} in one run only ({sides})"


# Decides at which level each change is tested, and the verdict on it.


def compute_holm_significance_levels(p_values: Sequence[float | None], alpha: float) -> list[float]:
    """Return the one-sided significance level at which Holm's procedure tests each two-sided p-value.

    The smallest of m p-values is tested at alpha / m, the next at alpha / (m - 1), and so on. All p-values after the
    first one that is not significant are tested at the level of that one.

    Args:
        p_values: the p-values; `None` for a test that was not made, which does not count as one of the m.
        alpha: the probability of a false alarm that all tests share.

    Returns:
        The levels in the order of `p_values`; `alpha` for `None`.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    levels, level = [alpha] * len(p_values), alpha
    is_rejecting = True
    for rank, (p_value, index) in enumerate(tested):
        if is_rejecting:
            level = alpha / (len(tested) - rank)
            # A regression lies in one direction only, and a two-sided p-value counts both.
            is_rejecting = p_value / 2 < level
        levels[index] = level
    return levels


def compute_false_discovery_significance_levels(p_values: Sequence[float | None], alpha: float) -> list[float]:
    """Return the significance level of each test by the procedure of Benjamini and Hochberg (1995).

    A change is found if half its two-sided p-value is below its level, which is the same for all. Of the changes found
    in each direction, a share of at most `alpha` is false on average. A p-value of `None` is not counted as a test.
    """
    tested = sorted(p for p in p_values if p is not None)
    found = [rank for rank, p in enumerate(tested, 1) if p / 2 < rank * alpha / len(tested)]
    return [alpha * max(found, default=1) / max(len(tested), 1)] * len(p_values)


VOICE_METRICS: tuple[MetricId, ...] = (*VOICE_MEASURES, "voice_similarity", *STEADINESS_METRICS)
"""Metrics of the voice of a target, and of how much its deliveries of one text differ."""
ALPHA_SHARE_OF_LATENCY_PARTS, ALPHA_SHARE_OF_VOICES = 0.2, 0.05
"""Shares of `alpha` for the family of voices, and of the rest for that of the parts of the latency. The share of voices
is small, because another voice differs by far more than chance does."""


def compute_family_significance_levels(
    metrics: Sequence[MetricId], p_values: Sequence[float | None], alpha: float
) -> tuple[list[float], list[float]]:
    """Return two significance levels for each p-value: that of Holm's procedure in its family, and the strictest one.

    The strictest level of a family is the one at which the procedure tests the smallest p-value. `metrics`, the
    p-values and both lists have the same order; a p-value of `None` is not counted as a test.
    """
    families: dict[str, list[int]] = {}
    for index, metric in enumerate(metrics):
        family = (
            "parts" if metric in METRICS_THAT_EXPLAIN_TOTAL_LATENCY else "voices" if metric in VOICE_METRICS else "main"
        )
        families.setdefault(family, []).append(index)
    levels, strictest = [alpha] * len(metrics), [alpha] * len(metrics)
    for family, members in families.items():
        own_alpha = alpha * _compute_share_of_family(family, families)
        tested_count = sum(p_values[index] is not None for index in members)
        own_levels = compute_holm_significance_levels([p_values[index] for index in members], own_alpha)
        for index, level in zip(members, own_levels, strict=True):
            levels[index], strictest[index] = level, own_alpha / max(tested_count, 1)
    return levels, strictest


def _compute_share_of_family(family: str, families: Collection[str]) -> float:
    """Return the share of `alpha` for a family of tests ("main", "parts" or "voices") among those of a comparison."""
    # The share of a family that a comparison does not have goes to the others.
    of_voices = ALPHA_SHARE_OF_VOICES if "voices" in families else 0.0
    if len(families) == 1:
        return 1.0
    if family == "voices":
        return of_voices
    has_both = "main" in families and "parts" in families
    own = {"main": 1 - ALPHA_SHARE_OF_LATENCY_PARTS, "parts": ALPHA_SHARE_OF_LATENCY_PARTS}[family] if has_both else 1.0
    return (1 - of_voices) * own


def decide_verdict(
    change: float,
    interval: tuple[float, float] | None,
    threshold: ChangeThreshold,
    *,
    is_worse_either_way: bool = False,
) -> ChangeVerdict:
    """Return the verdict on a change.

    Args:
        change: the estimated change.
        interval: lower and upper end of its confidence interval; `None` if there are too few data.
        threshold: the smallest changes that matter.
        is_worse_either_way: whether a fall is a regression too, as of the pitch of a voice.
    """
    if interval is None:
        return "underpowered"
    low, high = interval
    if is_worse_either_way:
        if abs(change) >= threshold.min_change and (low > 0 or high < 0):
            return "regression"
        return "no evidence" if max(-low, high) < threshold.required_detectable_change else "underpowered"
    if change >= threshold.min_change and low > 0:
        return "regression"
    if change <= -threshold.min_change and high < 0:
        return "improvement"
    # By how much the metric may have improved does not decide whether a regression was missed.
    return "no evidence" if high < threshold.required_detectable_change else "underpowered"
