"""Summarizes what only parts of a run have: times by place, streamed audio, and turns over WebSockets.

Turns over WebSockets have handshakes, flushes and interruptions of speech, and transcripts of streamed recordings.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from voicegauge.bench.estimates import (
    Estimate,
    estimate_mean,
    estimate_median,
    estimate_quantile,
    estimate_share,
)
from voicegauge.bench.target_samples import group_counted_samples_by_target, select_times_by_text, select_values_by_text
from voicegauge.errors import DataError
from voicegauge.model.base import Count, Number, Record
from voicegauge.model.exchange import WEBSOCKET_VERSION, Interruption, TranscriptTiming
from voicegauge.model.run import Run
from voicegauge.model.sample import RequestPhases, Sample, StreamArrivals
from voicegauge.printable_text import format_count


class PlaceSummary(Record, frozen=True, kw_only=True):
    """Times of one target, measured from one place: medians with 95% intervals, unless the name says otherwise."""

    place: str
    target: str
    sample_count: int
    """Number of samples from this place, including failures and excluding warm-up."""
    failure_count: int
    """Number of samples from the place that failed."""
    lost_count: Count = 0
    """Number of further samples from the place that were sent, but have no saved result."""
    ttfb_ms: Estimate | None
    """Median time to first byte of the response that carries the audio."""
    ttfa_ms: Estimate | None
    """Median time to first byte of audio data."""
    ttfs_ms: Estimate | None
    """Median time until a player plays the first speech."""
    total_latency_ms: Estimate | None
    """Median time until the last byte of audio."""
    total_latency_p95_ms: Estimate | None
    """95th percentile of the total latency."""

    @property
    def requested_count(self) -> int:
        """Number of samples that were sent from this place, with lost ones."""
        return self.sample_count + self.lost_count

    def describe_deliveries(self, separator: str) -> str:
        """Return how many of the samples were delivered, and how many were lost: "2 of 5, 1 lost"."""
        lost = f", {self.lost_count} lost" if self.lost_count else ""
        return f"{self.sample_count - self.failure_count}{separator}{self.requested_count}{lost}"


def summarize_places(run: Run) -> tuple[PlaceSummary, ...]:
    """Summarize each target from each place, in the order of the manifest and of the names of places.

    Returns:
        The summaries; empty if no worker of a cluster measured the run.
    """
    summaries = []
    lost_counts = Counter((one.target, one.place) for one in run.select_lost_samples())
    for target, samples in group_counted_samples_by_target(run).items():
        by_place: dict[str, list[Sample]] = {
            place: [] for name, place in lost_counts if name == target and place is not None
        }
        for sample in samples:
            if sample.place is not None:
                by_place.setdefault(sample.place, []).append(sample)
        summaries += [
            _summarize_place(place, target, by_place[place], lost_counts[target, place]) for place in sorted(by_place)
        ]
    return tuple(summaries)


def _summarize_place(place: str, target: str, samples: Sequence[Sample], lost_count: int) -> PlaceSummary:
    totals = select_times_by_text(samples, lambda latency: latency.total_latency_ms)
    return PlaceSummary(
        place=place,
        target=target,
        sample_count=len(samples),
        failure_count=sum(one.failure is not None for one in samples),
        lost_count=lost_count,
        ttfb_ms=estimate_median(select_times_by_text(samples, lambda latency: latency.ttfb_ms)),
        ttfa_ms=estimate_median(select_times_by_text(samples, lambda latency: latency.ttfa_ms)),
        ttfs_ms=estimate_median(select_times_by_text(samples, lambda latency: latency.ttfs_ms)),
        total_latency_ms=estimate_median(totals),
        total_latency_p95_ms=estimate_quantile(totals, 0.95),
    )


def list_places(run: Run) -> tuple[str, ...]:
    """Return the places from which a run was measured, sorted; empty if no worker of a cluster measured it."""
    return tuple(sorted({one.place for one in run.samples if one.place is not None}))


def count_texts_from_other_places(baselines: Sequence[Run], run: Run) -> int:
    """Return how many texts of a target `run` measured from other places, or in other shares, than the baseline.

    Texts that only one side has are not counted. A text that differs for several targets is counted once.
    """

    def compute_place_shares(runs: Sequence[Run]) -> dict[tuple[str, str], dict[str | None, float]]:
        counts: dict[tuple[str, str], Counter[str | None]] = {}
        for sample in (sample for one in runs for sample in one.select_counted_samples()):
            counts.setdefault((sample.target, sample.text_id), Counter())[sample.place] += 1
        return {key: {place: n / one.total() for place, n in one.items()} for key, one in counts.items()}

    before, after = compute_place_shares(baselines), compute_place_shares([run])
    return len({key[1] for key in before.keys() & after.keys() if before[key] != after[key]})


def restrict_run_to_place(run: Run, place: str) -> Run:
    """Return a run with the samples from one place only.

    Raises:
        DataError: the run has no sample from there.
    """
    samples = tuple(one for one in run.samples if one.place == place)
    if not samples:
        known = ", ".join(list_places(run)) or "none: no worker of a cluster measured it"
        raise DataError(f"{run.manifest.run_id} has no sample from {place!r}; its places: {known}")
    return msgspec.structs.replace(run, samples=samples)


class InterruptionSummary(Record, frozen=True, kw_only=True):
    """How a target reacted when its turns were interrupted at their first audio."""

    interruption_count: Count
    """Number of interruptions."""
    last_audio_ms: Estimate | None
    """Median time from the cancellation to the last audio of the interrupted turn; 0 if none arrived any more."""
    last_audio_max_ms: Number
    """Longest time from the cancellation to the last audio of the interrupted turn."""
    late_audio_s: Estimate | None
    """Median duration of the audio that arrived after the cancellation, in seconds of speech; `None` if compressed."""
    next_audio_ms: Estimate | None
    """Median time from the cancellation until the next turn began to speak."""
    next_audio_max_ms: Number | None
    """Longest time from the cancellation until the next turn began to speak; `None` if no next turn spoke."""
    silent_count: Count
    """Number of interruptions after which the next turn did not speak."""


class AnswerPoint(Record, frozen=True, kw_only=True):
    """What happens to the turns of a target if an agent waits for some time after each reported end of a turn."""

    wait_ms: Number
    """How long the agent waits. It does not answer if another text arrives during the wait."""
    delay_p50_ms: Number | None
    """Median time from the end of speech to the answer, negative if it comes before. A turn without an answer counts as
    later than all others; `None` if the median is such a turn."""
    cut_early_share: Number
    """Share of all turns in which the agent answers while the speaker still speaks."""
    unanswered_share: Number
    """Share of all turns that are never answered, because their end was not reported."""


ANSWER_WAITS_MS = (0.0, 100.0, 200.0, 300.0, 500.0, 800.0, 1200.0)
"""The waits for which `TranscriptTimingSummary.curve` has points."""


class TranscriptTimingSummary(Record, frozen=True, kw_only=True):
    """How a target transcribes recordings that are streamed to it at the pace of speech. No recording is left out."""

    recording_count: Count
    """Number of recordings."""
    first_text_ms: Estimate | None
    """Median time from the start of speech to the first text."""
    final_delay_ms: Estimate | None
    """Median time from the end of speech to the first reported end of the turn, over recordings with such an end. It is
    negative if the end was reported while the speaker still spoke."""
    cut_early_count: Count
    """Number of recordings whose turn was reported to have ended while the speaker still spoke."""
    never_ended_count: Count
    """Number of recordings whose turn was never reported to have ended."""
    flip_share: Number | None
    """Share of the words of interim transcripts that the next transcript changed; `None` without interim ones."""
    curve: tuple[AnswerPoint, ...]
    """Delay against turns cut early, for agents that wait for different times."""


class SocketSummary(Record, frozen=True, kw_only=True):
    """Measurements of one target that exist only for samples over WebSockets. Times are in milliseconds."""

    handshake_ms: Estimate | None
    """Median duration of opening a connection, also for a warm-up; it counts in no other time."""
    text_ms: Estimate | None
    """Median time from the first to the last piece of the text; 0 for a text that is sent whole."""
    ttfa_after_flush_ms: Estimate | None
    """Median time from the flush to the first audio; `None` if no flush was sent. It is negative if audio begins
    before."""
    interruptions: InterruptionSummary | None
    """How the target reacted to interruptions; `None` if no turn was interrupted."""
    transcript_timing: TranscriptTimingSummary | None = None
    """How the target transcribed streamed recordings; `None` if no recording was streamed."""


def summarize_sockets(samples: Sequence[Sample], warmups: Sequence[Sample]) -> SocketSummary | None:
    """Return the summary of the samples of one target; `None` if it does not speak over WebSockets.

    Args:
        samples: the counted samples.
        warmups: the warm-up samples, which usually open the connections of the others.
    """
    spoken = _select_socket_samples(samples)
    connected = [*_select_socket_samples(warmups), *spoken]
    interruptions = [(one.text_id, one.interruption) for one in samples if one.interruption is not None]
    if not spoken and not interruptions:
        return None
    return SocketSummary(
        handshake_ms=estimate_median(
            [(one.text_id, phases.connect_ms) for one, phases in connected if phases.connect_ms is not None]
        ),
        text_ms=estimate_median([(one.text_id, phases.send_ms) for one, phases in spoken]),
        ttfa_after_flush_ms=estimate_median(
            select_values_by_text(samples, lambda one: compute_ttfa_after_ms(one, lambda phases: phases.flush_ms))
        ),
        interruptions=_summarize_interruptions(interruptions),
        transcript_timing=summarize_transcript_timing(
            [(one.text_id, one.transcript_timing) for one in samples if one.transcript_timing is not None]
        ),
    )


def summarize_transcript_timing(timings: Sequence[tuple[str, TranscriptTiming]]) -> TranscriptTimingSummary | None:
    """Return how a target transcribed recordings, each given with the id of its text; `None` without any."""
    if not timings:
        return None
    transcribed = [one for _, one in timings]
    partial_words = sum(one.partial_word_count for one in transcribed)
    return TranscriptTimingSummary(
        recording_count=len(transcribed),
        first_text_ms=estimate_median(
            [(text, one.first_text_ms) for text, one in timings if one.first_text_ms is not None]
        ),
        final_delay_ms=estimate_median(
            [(text, one.final_delay_ms) for text, one in timings if one.final_delay_ms is not None]
        ),
        cut_early_count=sum(one.is_cut_early for one in transcribed),
        never_ended_count=sum(not one.turn_ends_ms for one in transcribed),
        flip_share=sum(one.flip_count for one in transcribed) / partial_words if partial_words else None,
        curve=tuple(build_answer_point(transcribed, wait_ms) for wait_ms in ANSWER_WAITS_MS),
    )


def build_answer_point(timings: Sequence[TranscriptTiming], wait_ms: float) -> AnswerPoint:
    """Return what happens to turns if an agent waits for `wait_ms` milliseconds after each reported end."""
    answers = [one.find_answer_ms(wait_ms) for one in timings]
    middle = statistics.median(math.inf if one is None else one for one in answers)
    return AnswerPoint(
        wait_ms=wait_ms,
        delay_p50_ms=None if math.isinf(middle) else middle,
        cut_early_share=sum(one is not None and one < 0 for one in answers) / len(answers),
        unanswered_share=sum(one is None for one in answers) / len(answers),
    )


def _select_socket_samples(samples: Iterable[Sample]) -> list[tuple[Sample, RequestPhases]]:
    """Return the samples that were measured over a WebSocket, with the phases of their submits."""
    found = ((sample, sample.request_phases) for sample in samples)
    return [(one, phases) for one, phases in found if phases is not None and phases.http_version == WEBSOCKET_VERSION]


def compute_ttfa_after_ms(sample: Sample, select_moment_ms: Callable[[RequestPhases], float | None]) -> float | None:
    """Return the time in ms from a moment of a request over a WebSocket to its first audio.

    `None` if either time is missing, or the request was not sent over a WebSocket.
    """
    latency, phases = sample.latency, sample.request_phases
    if latency is None or latency.ttfa_ms is None or phases is None or phases.http_version != WEBSOCKET_VERSION:
        return None
    moment_ms = select_moment_ms(phases)
    return None if moment_ms is None else latency.ttfa_ms - moment_ms


def _summarize_interruptions(interruptions: Sequence[tuple[str, Interruption]]) -> InterruptionSummary | None:
    if not interruptions:
        return None
    last = [(text, one.last_audio_ms or 0.0) for text, one in interruptions]
    late = [(text, one.late_audio_s) for text, one in interruptions if one.late_audio_s is not None]
    following = [(text, one.next_audio_ms) for text, one in interruptions if one.next_audio_ms is not None]
    return InterruptionSummary(
        interruption_count=len(interruptions),
        last_audio_ms=estimate_median(last),
        last_audio_max_ms=max(value for _, value in last),
        late_audio_s=estimate_median(late),
        next_audio_ms=estimate_median(following),
        next_audio_max_ms=max((value for _, value in following), default=None),
        silent_count=len(interruptions) - len(following),
    )


def describe_sockets(summary: SocketSummary) -> list[str]:
    """Return how a target reacted to interruptions, and when it ended the turns of streamed recordings, if it did."""
    found = [_describe_interruptions(summary.interruptions)] if summary.interruptions is not None else []
    found += [_describe_transcript_timing(summary.transcript_timing)] if summary.transcript_timing is not None else []
    return found


def _describe_interruptions(summary: InterruptionSummary) -> str:
    """Return how a target reacted to interruptions, as medians with the worst in brackets."""
    last, late, following = (
        None if one is None else one.value
        for one in (summary.last_audio_ms, summary.late_audio_s, summary.next_audio_ms)
    )
    text = f"{format_count(summary.interruption_count, 'interruption')}: last audio {last or 0:.0f} ms"
    text += f" ({summary.last_audio_max_ms:.0f}) after the cancellation"
    if late is not None:
        text += f", {late:.2f} s of speech too late"
    if following is not None:
        text += f", next turn speaks after {following:.0f} ms ({summary.next_audio_max_ms or 0:.0f})"
    return text + (f", {format_count(summary.silent_count, 'time')} not" if summary.silent_count else "")


def _describe_transcript_timing(summary: TranscriptTimingSummary) -> str:
    """Return when a target ended the turns of streamed recordings.

    For each time that an agent may wait, its delay and the share of turns that are cut early follow.
    """
    delay = "never" if summary.final_delay_ms is None else f"{summary.final_delay_ms.value:.0f} ms after the speech"
    text = f"{format_count(summary.recording_count, 'streamed recording')}: the turn ends {delay}"
    text += f", {summary.cut_early_count} cut early, {summary.never_ended_count} never ended"
    if summary.flip_share is not None:
        text += f", {summary.flip_share:.1%} of words taken back"
    points = [
        f"{one.wait_ms:.0f} ms: {'never' if one.delay_p50_ms is None else f'{one.delay_p50_ms:.0f} ms'}, "
        f"{one.cut_early_share:.0%} cut"
        for one in summary.curve
    ]
    return f"{text}; answers of an agent that waits for {'; '.join(points)}"


# Summarizes how streamed audio arrived, and how it would have been played.


class StreamSummary(Record, frozen=True, kw_only=True):
    """Arrival and simulated playback of streamed audio; medians unless the name says otherwise.

    Times are milliseconds from the start of the submit; a time is `None` if no sample has it.
    """

    first_event_ms: Estimate | None
    """Time until the first event; only for event streams."""
    first_speech_ms: Estimate | None
    """Time until the audio with the first speech has arrived. It is played later, at `TargetSummary.ttfs_ms`."""
    gap_p50_ms: Estimate | None
    """Median gap between two chunks of a sample."""
    gap_max_ms: Estimate | None
    """Median, over samples, of the longest gap between two chunks of a sample."""
    underruns_per_sample: Estimate | None
    """Mean number of buffer underruns per sample."""
    stall_time_ms: Estimate | None
    """Mean time per sample during which a player is stalled."""
    share_late_at_most_50_ms: Estimate | None
    """Share of streams whose audio is never more than 50 ms late for a player that starts at once (C50)."""
    share_late_at_most_100_ms: Estimate | None
    """Share of streams whose audio is never more than 100 ms late for a player that starts at once (C100)."""
    share_late_at_most_200_ms: Estimate | None
    """Share of streams whose audio is never more than 200 ms late for a player that starts at once (C200)."""


def _summarize_streaming(samples: Sequence[Sample]) -> StreamSummary | None:
    if all(sample.streaming is None for sample in samples):
        return None

    def select_streaming_values(select_value: Callable[[StreamArrivals], float | None]) -> list[tuple[str, float]]:
        return select_values_by_text(
            samples, lambda sample: select_value(sample.streaming) if sample.streaming else None
        )

    def estimate_share_late_at_most(limit_ms: float) -> Estimate | None:
        deficits_ms = select_streaming_values(lambda stream: stream.worst_deficit_ms)
        return estimate_share((text, deficit_ms < limit_ms) for text, deficit_ms in deficits_ms)

    return StreamSummary(
        first_event_ms=estimate_median(select_streaming_values(lambda stream: stream.first_event_ms)),
        first_speech_ms=estimate_median(select_streaming_values(lambda stream: stream.first_speech_ms)),
        gap_p50_ms=estimate_median(select_streaming_values(lambda stream: stream.gap_p50_ms)),
        gap_max_ms=estimate_median(select_streaming_values(lambda stream: stream.gap_max_ms)),
        # Means: underruns are rare, so that their median would be 0 for nearly every target.
        underruns_per_sample=estimate_mean(
            select_streaming_values(lambda stream: stream.underruns), smallest_positive_value=1.0
        ),
        stall_time_ms=estimate_mean(select_streaming_values(lambda stream: stream.stalled_ms)),
        share_late_at_most_50_ms=estimate_share_late_at_most(50.0),
        share_late_at_most_100_ms=estimate_share_late_at_most(100.0),
        share_late_at_most_200_ms=estimate_share_late_at_most(200.0),
    )
