"""Summarizes each target of a run with confidence intervals, and defines what `voicegauge bench --json` writes.

Warm-up samples are left out. A failed sample has no times, so every estimate of a time states
its number of samples. In the error rates, all words (or characters) of a failed sample's text count as
deleted; a target whose requests all failed has no error rates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from voicegauge.bench import (
    DEFAULT_CHARACTERS_PER_MONTH,
    DEFAULT_TEXT_LENGTH,
    MAX_LAG_OF_UNDISTURBED_SAMPLE_MS,
    MAX_LAG_SHARE_OF_LATENCY,
)
from voicegauge.bench.audio_measurement import (
    AudioQualitySummary,
    StreamSummary,
    summarize_audio_quality,
    summarize_streaming,
)
from voicegauge.bench.estimates import (
    BoundEstimates,
    CensoredTime,
    Estimate,
    estimate_censored_quantile,
    estimate_median,
    estimate_quantile,
    estimate_share,
)
from voicegauge.bench.resampling import (
    SampledValues,
    TargetDifferences,
    flag_targets_not_clearly_higher,
    flag_undominated_targets,
)
from voicegauge.bench.scoring import ListeningSummary, summarize_listening
from voicegauge.bench.speech_summaries import (
    CategoryErrorRate,
    ErrorRate,
    LanguageErrorRate,
    ReadingSummary,
    SocketSummary,
    compute_error_rate,
    compute_error_rates_by_category,
    compute_error_rates_by_language,
    compute_ttfa_after_ms,
    summarize_readings,
    summarize_sockets,
)
from voicegauge.bench.target_cost import TargetCost, compute_target_cost, get_sample_audio_duration_s
from voicegauge.bench.target_samples import (
    PlaceSummary,
    ScoredSamples,
    ScoresBySample,
    find_audio_ready_bounds,
    group_counted_samples_by_target,
    list_wrong_sample_ids,
    measure_target_differences,
    select_times_by_text,
    select_values_by_text,
    select_voice_samples,
)
from voicegauge.bench.voice_quality import (
    QualitySummary,
    SteadinessSummary,
    VoiceSummary,
    summarize_predicted_quality,
    summarize_steadiness,
    summarize_voices,
)
from voicegauge.model.base import Count, Provenance, Record, StopReason
from voicegauge.model.exchange import AmbiguousRequest, OpenJob
from voicegauge.model.ramp import RampResult
from voicegauge.model.run import Manifest, MeasuredTarget, Run, ScoreSet
from voicegauge.model.sample import Interval, Latency, Sample
from voicegauge.outputs.result_summary import SummarizedResult
from voicegauge.printable_text import describe_repetitions, format_count

MAX_NAMED_TARGETS_WITH_WRONG_CHARGES = 3
"""Largest number of targets with wrong charges that a sentence names. Further targets are only counted."""
_MAX_NAMED_TARGETS_WITH_REPEATED_REQUESTS = 3
"""Largest number of targets whose repeated requests are counted one by one."""


class TargetSummary(Record, frozen=True, kw_only=True):
    """Summary of one target of a run: medians with 95% intervals unless the name says otherwise.

    Times are milliseconds from the start of the first submit of a sample; a time is `None` if no sample has it.
    """

    target: str
    title: str
    provenance: Provenance
    sample_count: int
    """Number of requested samples, including failures and excluding lost ones and warm-up."""
    disturbed_sample_count: int
    """Number of samples whose times may be imprecise because voicegauge itself was busy."""
    failure_count: int
    """Number of samples whose request or job failed after all retries, or whose audio cannot be decoded."""
    lost_count: Count = 0
    """Number of further samples that were sent, but have no saved result because voicegauge or its worker was stopped.
    They say nothing about the provider."""
    failure_rate: Estimate | None
    """Share of failed samples; `None` without samples."""
    failure_count_by_kind: dict[str, int]
    """Number of failures by kind, most frequent first."""
    mean_submit_count: float | None
    """Mean number of submits per sample, including retries; it is 1 if no submit was retried."""
    repetition_count_by_cause: dict[str, int] = {}
    """Number of repeated submits by the HTTP status before them, most frequent first; "no known status" for those after
    a lost connection or by an earlier, interrupted process. The waits before them count towards the latencies."""
    submit_latency_ms: Estimate | None
    """Median time until the response to the submit was complete."""
    queue_ms: BoundEstimates | None
    """Median lower and upper bounds of the queue time of a job. The time itself is unknown, because the job's status is
    seen only when it is polled."""
    processing_ms: BoundEstimates | None
    """Median lower and upper bounds of the processing time of a job."""
    completion_ms: BoundEstimates | None
    """Median lower and upper bounds of the time from the submit to the completion of a job."""
    completion_p50_ms: Estimate | None
    """Median completion time, by the nonparametric maximum-likelihood estimator for times between two polls
    (Turnbull)."""
    completion_p90_ms: Estimate | None
    """90th percentile of the completion time, estimated in the same way as `completion_p50_ms`."""
    audio_ready_ms: Estimate | None
    """Median of the total latency without the wait for polls: for a job, the completion time plus the duration of the
    download; otherwise equal to `total_latency_ms`."""
    audio_ready_p95_ms: Estimate | None
    """95th percentile of the total latency without the wait for polls; see `audio_ready_ms`."""
    download_ms: Estimate | None
    """Median duration of the request that downloads the audio of a job."""
    ttfb_ms: Estimate | None
    """Median time to first byte of the response that carries the audio."""
    ttfa_ms: Estimate | None
    """Median time to first byte of audio data."""
    ttfa_after_text_ms: Estimate | None
    """Median time from the end of the text to the first byte of audio data; `None` unless the text is sent over a
    WebSocket. It is negative if audio begins before a text that is sent in pieces is complete."""
    speech_onset_s: Estimate | None
    """Median silence before the first audible speech, in seconds: before the first 10 ms with an RMS above 0.01."""
    ttfs_ms: Estimate | None
    """Median time until a player plays the first speech: audio has arrived, and the silence before speech is played."""
    total_latency_ms: Estimate | None
    """Median total latency: time until the last byte of audio, including polling and download."""
    total_latency_p95_ms: Estimate | None
    """95th percentile of the total latency."""
    streaming: StreamSummary | None
    """Arrival and playback of streamed audio; `None` if no audio was streamed."""
    audio_duration_s: Estimate | None
    """Median duration of the audio of one sample."""
    rtf: Estimate | None
    """Median real-time factor: `audio_ready_ms` of a sample divided by the duration of its audio; below 1 is faster
    than speech."""
    characters_per_s: Estimate | None
    """Median number of characters of text per second of total latency."""
    wer: ErrorRate | None
    """Word error rate over the languages counted in words; `None` if no sample in such a language was scored
    or every sample failed."""
    cer: ErrorRate | None
    """Character error rate over the languages counted in characters; `None` if no such sample was scored or every
    sample failed."""
    error_rates_by_category: tuple[CategoryErrorRate, ...]
    error_rates_by_language: tuple[LanguageErrorRate, ...]
    unscored_languages: tuple[str, ...] = ()
    """Languages of samples that have no error rate because the ASR engine does not support them."""
    readings: ReadingSummary | None = None
    """Errors and entities by accepted readings; `None` if no sample was scored by them."""
    listening: ListeningSummary | None = None
    """How many samples say their text; `None` if nobody listened to them."""
    socket: SocketSummary | None = None
    """Handshakes, flushes and interruptions; `None` for a target over HTTP."""
    audio_quality: AudioQualitySummary | None = None
    """Loudness, bandwidth and defects of the audio; `None` if no sample has measured audio."""
    predicted_quality: QualitySummary | None = None
    """Mean predicted ratings by listeners; `None` if they were not predicted."""
    voice: VoiceSummary | None = None
    """Whether the voice is that of the voice sample; `None` for a target that clones none, and if voices were not
    compared."""
    steadiness: SteadinessSummary | None = None
    """How much deliveries of one text differ; `None` if no text was delivered twice, and for speech to text."""
    cost: TargetCost
    is_pareto_optimal: bool
    """Whether no other target of the run is clearly better in latency or errors and clearly worse in neither.

    Clear differences are found text by text, for all targets together: a run of equal targets has any with a
    probability of 5% at most (`bench/resampling.py`).
    """
    is_among_fastest: bool
    """Whether the target has the lowest median total latency of the run, or is not clearly slower than the target that
    has it."""
    is_among_most_intelligible: bool
    """Whether the target has the lowest error rate of the run, or is not clearly worse than the target that has it."""

    @property
    def wrong_count(self) -> int:
        """Number of samples whose audio is known to be wrong: no speech, another text, or not all of it."""
        return self.listening.wrong_count if self.listening is not None else 0

    @property
    def success_count(self) -> int:
        """Number of samples that neither failed nor are known to be wrong."""
        return self.sample_count - self.failure_count - self.wrong_count

    @property
    def requested_count(self) -> int:
        """Number of samples that were sent to the target, without warm-up: delivered, failed and lost ones.

        For a ramp, these are the samples at the loads of `Run.select_counted_samples`.
        """
        return self.sample_count + self.lost_count


def summarize_targets(
    run: Run,
    score_set: ScoreSet | None = None,
    *,
    text_length: int = DEFAULT_TEXT_LENGTH,
    characters_per_month: int = DEFAULT_CHARACTERS_PER_MONTH,
    differences: TargetDifferences | None = None,
) -> tuple[TargetSummary, ...]:
    """Summarize each target of a run, in the order of the manifest.

    In a rehearsal, no target is marked as Pareto-optimal, or as among the fastest or the most intelligible.

    Args:
        run: the run to summarize; its counted samples are used (`Run.select_counted_samples`).
        score_set: one of the run's score sets; with `None`, the summaries have no error rates.
        text_length: text length at which the price per million characters is stated.
        characters_per_month: number of characters of a month, which decides which account plan is the cheapest.
        differences: the result of `measure_target_differences` for the same arguments; `None` computes it.

    Raises:
        DataError: the score set does not contain every sample of the run.
    """
    summaries = []
    samples_by_target = group_counted_samples_by_target(run)
    lost_counts = Counter(one.target for one in run.select_lost_samples())
    scores = ScoresBySample(score_set) if score_set else None
    for target in run.manifest.targets:
        samples = samples_by_target[target.id]
        voice = select_voice_samples(samples, run.listening)
        scored_samples = scores.pair_with(samples) if scores else []
        cost = compute_target_cost(
            target,
            samples,
            text_length,
            characters_per_month,
            takes_audio=run.manifest.kind != "speech",
            uses_measurements=run.manifest.provenance is Provenance.LIVE,
        )
        summary = _summarize_target(target, samples, scored_samples, run.manifest.provenance, cost)
        warmups = [one for one in run.samples if one.is_warmup and one.target == target.id]
        unscored = {s.language for s in samples} & set(score_set.unsupported_languages if score_set else ())
        summaries.append(
            msgspec.structs.replace(
                summary,
                lost_count=lost_counts[target.id],
                unscored_languages=tuple(sorted(unscored)),
                listening=summarize_listening(samples, run.listening),
                audio_quality=summarize_audio_quality(samples),
                socket=summarize_sockets(samples, warmups),
                predicted_quality=summarize_predicted_quality(voice, run.predicted_quality),
                steadiness=summarize_steadiness(samples, scored_samples, list_wrong_sample_ids(run.listening))
                if run.manifest.kind == "speech"
                else None,
                voice=summarize_voices(voice, run.voices, clones_voice=target.clones_voice),
            )
        )
    if run.manifest.is_rehearsal:
        return tuple(summaries)  # invented times and voices mark no target as better than another
    return _add_comparison_fields(summaries, differences or measure_target_differences(run, score_set))


def _add_comparison_fields(
    summaries: Sequence[TargetSummary], differences: TargetDifferences
) -> tuple[TargetSummary, ...]:
    """Return the summaries with the fields that depend on the other targets of the run, such as `is_pareto_optimal`."""
    undominated = flag_undominated_targets([differences.log_latency, differences.error_rate])
    fastest = flag_targets_not_clearly_higher(
        [get_median_latency_ms(one) for one in summaries], differences.log_latency
    )
    clearest = flag_targets_not_clearly_higher([get_error_rate(one) for one in summaries], differences.error_rate)
    return tuple(
        msgspec.structs.replace(
            one,
            is_pareto_optimal=undominated[i]
            and get_median_latency_ms(one) is not None
            and get_error_rate(one) is not None,
            is_among_fastest=fastest[i],
            is_among_most_intelligible=clearest[i],
        )
        for i, one in enumerate(summaries)
    )


def describe_lost_samples(summaries: Sequence[TargetSummary]) -> str:
    """Return how many samples were sent, but have no saved result; an empty text if there are none."""
    lost, measured = sum(one.lost_count for one in summaries), sum(one.sample_count for one in summaries)
    if not lost:
        return ""
    verbs = ("was", "has") if lost == 1 else ("were", "have")
    return (
        f"{format_count(lost, 'sample')} {verbs[0]} sent and {verbs[1]} no saved result, because voicegauge or its "
        f"worker was stopped: not a failure of a provider; all rates and times are of the other {measured:,}"
    )


def _count_repetitions(samples: Sequence[Sample]) -> dict[str, int]:
    counts = Counter(str(status) for sample in samples for status in sample.retried_statuses)
    unknown = sum(max(sample.submit_count - 1, 0) for sample in samples) - counts.total()
    return dict(counts.most_common()) | ({"no known status": unknown} if unknown > 0 else {})


def describe_repeated_submits(summaries: Sequence[TargetSummary]) -> list[str]:
    """Return a sentence for each target whose requests had to be sent again, and one for those beyond the first few."""
    lines = [
        f"{one.target}: {repeated}, for {format_count(one.sample_count, 'sample')}; the waits count as latency"
        for one in summaries
        if (repeated := describe_repetitions(one.repetition_count_by_cause))
    ]
    others = len(lines) - _MAX_NAMED_TARGETS_WITH_REPEATED_REQUESTS
    if others <= 0:
        return lines
    return [
        *lines[:_MAX_NAMED_TARGETS_WITH_REPEATED_REQUESTS],
        f"requests to {format_count(others, 'further target')} were repeated",
    ]


def describe_disturbed_samples(summaries: Sequence[TargetSummary]) -> str:
    """Return a sentence with the number of disturbed samples; empty if there are none.

    Samples of all targets count, also failed ones.
    """
    disturbed = sum(one.disturbed_sample_count for one in summaries)
    samples = sum(one.sample_count for one in summaries)
    if not disturbed:
        return ""
    lag = f"for more than {MAX_LAG_OF_UNDISTURBED_SAMPLE_MS:g} ms or {MAX_LAG_SHARE_OF_LATENCY:.0%} of the latency"
    return f"during {disturbed:,} of {samples:,} samples this machine was busy {lag}"


def describe_wrong_audio(summary: TargetSummary) -> str:
    """Return how many samples of a target do not say their text, and which rules they break; empty if none is known."""
    listening = summary.listening
    if listening is None or not listening.wrong_count + listening.doubtful_count:
        return ""
    counts = [f"{listening.wrong_count} of {format_count(summary.sample_count, 'sample')} wrong"]
    counts += [f"{listening.doubtful_count} doubtful"] if listening.doubtful_count else []
    rules = ", ".join(f"{count} {rule}" for rule, count in listening.defect_count_by_rule.items())
    return f"audio of {' and '.join(counts)} ({rules})"


def describe_wrong_charges(summaries: Sequence[TargetSummary]) -> str:
    """Return how far the charges of targets are from their documented prices; empty if they agree."""
    wrong = [one for one in summaries if one.cost.charge_differs_from_price]
    parts = [_describe_wrong_charge(one) for one in wrong[:MAX_NAMED_TARGETS_WITH_WRONG_CHARGES]]
    if len(wrong) > MAX_NAMED_TARGETS_WITH_WRONG_CHARGES:
        parts.append(f"{len(wrong) - MAX_NAMED_TARGETS_WITH_WRONG_CHARGES} more charged something else than documented")
    return "; ".join(parts)


def _describe_wrong_charge(summary: TargetSummary) -> str:
    cost = summary.cost
    pairs = (
        (cost.charged_usd_per_request, cost.price_per_request.usd),
        (cost.charged_credits_per_request, cost.credits_per_request),
    )
    for charged, documented in pairs:
        if charged is not None and documented and charged != documented:
            return f"{summary.target} charged {charged / documented:.3g} times the documented price"
    return f"{summary.target} charged something else than documented"


def get_median_latency_ms(summary: TargetSummary) -> float | None:
    """Return the median total latency of a target in ms, as tables show it; `None` if it delivered nothing."""
    return summary.total_latency_ms.value if summary.total_latency_ms else None


def get_error_rate(summary: TargetSummary) -> float | None:
    """Return the word error rate of a target, otherwise its character error rate; `None` if nothing was scored."""
    rate = summary.wer or summary.cer
    return rate.corpus_rate.value if rate else None


def _estimate_median_bounds(
    samples: Sequence[Sample], select_interval: Callable[[Latency], Interval | None]
) -> BoundEstimates | None:
    bounds = select_times_by_text(samples, select_interval)
    low = estimate_median([(text, interval.low_ms) for text, interval in bounds])
    high = estimate_median([(text, interval.high_ms) for text, interval in bounds])
    return BoundEstimates(low=low, high=high) if low and high else None


def _estimate_median_value(
    samples: Sequence[Sample], select_value: Callable[[Sample], float | None]
) -> Estimate | None:
    return estimate_median(select_values_by_text(samples, select_value))


def _estimate_median_time(samples: Sequence[Sample], select_time: Callable[[Latency], float | None]) -> Estimate | None:
    return estimate_median(select_times_by_text(samples, select_time))


def _summarize_target(
    target: MeasuredTarget,
    samples: Sequence[Sample],
    scored_samples: ScoredSamples,
    provenance: Provenance,
    cost: TargetCost,
) -> TargetSummary:
    kinds = Counter(s.failure.kind for s in samples if s.failure)

    ready = [(sample, time) for sample in samples if (time := _find_audio_ready_time(sample)) is not None]
    completions = [
        CensoredTime(text, interval.low_ms, interval.high_ms)
        for text, interval in select_times_by_text(samples, lambda latency: latency.completion_ms)
    ]
    totals = SampledValues(select_times_by_text(samples, lambda latency: latency.total_latency_ms))
    total_ms, total_p95_ms = (estimate_quantile(totals, fraction) for fraction in (0.5, 0.95))

    wer, cer = (
        compute_error_rate([pair for pair in scored_samples if pair[1].unit == unit]) for unit in ("word", "character")
    )

    ready_ms, ready_p95_ms = total_ms, total_p95_ms
    if completions:  # without jobs, audio is ready when it has arrived
        ready_ms, ready_p95_ms = (_estimate_quantile_of_times([time for _, time in ready], at) for at in (0.5, 0.95))
    return TargetSummary(
        target=target.id,
        title=target.title,
        provenance=provenance,
        sample_count=len(samples),
        disturbed_sample_count=sum(sample.is_disturbed for sample in samples),
        failure_count=sum(kinds.values()),
        failure_rate=estimate_share((sample.text_id, sample.failure is not None) for sample in samples),
        failure_count_by_kind=dict(kinds.most_common()),
        mean_submit_count=sum(s.submit_count for s in samples) / len(samples) if samples else None,
        repetition_count_by_cause=_count_repetitions(samples),
        submit_latency_ms=_estimate_median_time(samples, lambda latency: latency.submit_latency_ms),
        queue_ms=_estimate_median_bounds(samples, lambda latency: latency.queue_ms),
        processing_ms=_estimate_median_bounds(samples, lambda latency: latency.processing_ms),
        completion_ms=_estimate_median_bounds(samples, lambda latency: latency.completion_ms),
        completion_p50_ms=estimate_censored_quantile(completions, 0.5),
        completion_p90_ms=estimate_censored_quantile(completions, 0.9),
        audio_ready_ms=ready_ms,
        audio_ready_p95_ms=ready_p95_ms,
        download_ms=_estimate_median_time(samples, lambda latency: latency.download_ms),
        ttfb_ms=_estimate_median_time(samples, lambda latency: latency.ttfb_ms),
        ttfa_ms=_estimate_median_time(samples, lambda latency: latency.ttfa_ms),
        ttfa_after_text_ms=_estimate_median_value(
            samples, lambda one: compute_ttfa_after_ms(one, lambda phases: phases.send_ms)
        ),
        speech_onset_s=_estimate_median_value(samples, lambda one: one.audio.speech_onset_s if one.audio else None),
        ttfs_ms=_estimate_median_time(samples, lambda latency: latency.ttfs_ms),
        total_latency_ms=total_ms,
        total_latency_p95_ms=total_p95_ms,
        streaming=summarize_streaming(samples),
        audio_duration_s=_estimate_median_value(samples, get_sample_audio_duration_s),
        rtf=_estimate_quantile_of_times(_collect_real_time_factors(ready), 0.5),
        characters_per_s=_estimate_median_value(samples, _compute_characters_per_s),
        wer=wer,
        cer=cer,
        error_rates_by_category=compute_error_rates_by_category(scored_samples),
        error_rates_by_language=compute_error_rates_by_language(scored_samples, wer, cer),
        readings=summarize_readings(scored_samples),
        cost=cost,
        # Set by `summarize_targets`, which sees all targets.
        is_pareto_optimal=False,
        is_among_fastest=False,
        is_among_most_intelligible=False,
    )


def _find_audio_ready_time(sample: Sample) -> CensoredTime | None:
    """Return the bounds, in ms, of the time at which the audio of a sample was complete; `None` for a failed sample.

    They differ for a job, whose end lies between two polls.
    """
    bounds = find_audio_ready_bounds(sample.latency) if sample.latency is not None and sample.failure is None else None
    return CensoredTime(sample.text_id, bounds.low_ms, bounds.high_ms) if bounds is not None else None


def _collect_real_time_factors(samples_with_ready_time: Iterable[tuple[Sample, CensoredTime]]) -> list[CensoredTime]:
    """Return the lower and the upper bound of the real-time factor of each sample with audio."""
    return [
        CensoredTime(time.text_id, time.low_ms / 1000 / audio_s, time.high_ms / 1000 / audio_s)
        for sample, time in samples_with_ready_time
        if (audio_s := get_sample_audio_duration_s(sample))
    ]


def _estimate_quantile_of_times(times: Sequence[CensoredTime], fraction: float) -> Estimate | None:
    """Estimate a quantile of times: of the times themselves if all are known exactly, else from their bounds.

    `None` with too few times for this quantile.
    """
    if all(time.low_ms == time.high_ms for time in times):
        return estimate_quantile([(time.text_id, time.high_ms) for time in times], fraction)
    return estimate_censored_quantile(times, fraction)


def _compute_characters_per_s(sample: Sample) -> float | None:
    latency_ms = sample.latency.total_latency_ms if sample.failure is None and sample.latency else None
    return len(sample.text) * 1000 / latency_ms if latency_ms else None


# Defines the JSON of a benchmark.


class BenchResult(SummarizedResult, frozen=True, kw_only=True):
    """The JSON that `voicegauge bench --json` writes."""

    schema: str = "voicegauge/bench/3"
    provenance: Provenance
    """`emulated` results describe the emulator, not the provider."""
    rehearsal_label: str = ""
    """"EMULATED" or "REHEARSAL" (a server on this machine answered for a hosted service), with the injected faults:
    then no number describes a provider. Empty if the named services answered themselves."""
    folder: str
    """Folder of the saved run."""
    report_file: str | None
    """Path of the HTML report; `None` if no report was written."""
    manifest: Manifest
    asr: str | None
    """ASR engine that determined the error rates; `None` if nothing was transcribed."""
    asr_reason: str | None
    """Why this ASR engine was selected; `None` if nothing was transcribed."""
    normalizer: str | None
    """Ids of the normalizers of the transcripts; `None` if nothing was scored."""
    stop_message: str | None
    """Why the run ended early, in one line; `None` for a complete run."""
    stop_reason: StopReason | None = None
    """Kind of event that stopped the run; `None` for a complete run."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """Requests whose price counts as spent although their result is unknown or was not saved."""
    open_jobs: tuple[OpenJob, ...] = ()
    """Jobs that were paid for and may still succeed; the same command polls these jobs again."""
    baseline_target: str | None = None
    """Target that the others are compared with; `None` if none was given."""
    ramp: RampResult | None = None
    """The highest load that met the goal of `--ramp`; `None` without it."""
    load: str
    """Load under which the samples of `targets` were sent, such as "16 requests in flight"; for a ramp, the highest
    load that met the goal."""
    targets: tuple[TargetSummary, ...]
    places: tuple[PlaceSummary, ...] = ()
    """Times of each target from each place; empty if this machine sent all requests."""
    planned_sample_count: Count = 0
    """Number of samples that should have been measured, without warm-up. Of a ramp, or of a run that its stop rule has
    ended, it is the number of those that were sent."""
    measured_sample_count: Count = 0
    """Number of planned samples with a usable result, and with audio that is not known to be wrong."""
    missing_sample_count: Count = 0
    """Number of planned samples without a saved result: lost after they were sent, or never sent."""
    silent_sample_count: Count = 0
    """Number of samples whose audio is silent from beginning to end."""
    wrong_sample_count: Count = 0
    """Number of samples whose audio is known to be wrong: silence, noise, another text, or only a part of the text.
    They do not count as measured."""
    doubtful_sample_count: Count = 0
    """Number of samples with audio of which a person should decide whether it says its text. They count as measured."""
    listening_method: str | None = None
    """How the audio was judged; `None` if nobody listened to it."""

    @property
    def measured_share(self) -> float:
        """The share of the planned samples that were measured; 1 if none was planned."""
        return self.measured_sample_count / self.planned_sample_count if self.planned_sample_count else 1.0
