"""Summarizes what samples over WebSockets have beside those over HTTP: the connection, flushes and interruptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voicegauge.bench.estimates import Estimate, estimate_median
from voicegauge.model.base import Count, Number, Record
from voicegauge.model.exchange import WEBSOCKET_VERSION
from voicegauge.model.sample import Sample
from voicegauge.model.socket import Interruption


class InterruptionSummary(Record, frozen=True, kw_only=True):
    """How a target reacted when its turns were interrupted at their first audio."""

    count: Count
    """Number of interruptions."""
    last_audio_ms: Estimate | None
    """Median time from the cancellation to the last audio of the interrupted turn; 0 if none arrived any more."""
    last_audio_max_ms: Number
    """The longest of these times."""
    late_audio_s: Estimate | None
    """Median duration of the audio that arrived after the cancellation, in seconds of speech; `None` if compressed."""
    next_audio_ms: Estimate | None
    """Median time from the cancellation until the next turn began to speak."""
    next_audio_max_ms: Number | None
    """The longest of these times; `None` if no next turn spoke."""
    silent_count: Count
    """Number of interruptions after which the next turn did not speak."""


class SocketSummary(Record, frozen=True, kw_only=True):
    """What only samples over WebSockets have. Times are in milliseconds."""

    handshake_ms: Estimate | None
    """Median duration of opening a connection, also for a warm-up; it counts in no other time."""
    text_ms: Estimate | None
    """Median time from the first to the last piece of the text; 0 for a text that is sent whole."""
    ttfa_after_flush_ms: Estimate | None
    """Median time from the flush to the first audio; `None` if no flush was sent. It is negative if audio begins
    before."""
    interruptions: InterruptionSummary | None
    """`None` if no turn was interrupted."""


def summarize_sockets(samples: Sequence[Sample], warmups: Sequence[Sample]) -> SocketSummary | None:
    """Return the summary of the samples of one target; `None` if it does not speak over WebSockets.

    Args:
        samples: the counted samples.
        warmups: the warm-up samples, which usually open the connections of the others.
    """
    spoken = _select_socket_samples(samples)
    interruptions = [(one.text_id, one.interruption) for one in samples if one.interruption is not None]
    if not spoken and not interruptions:
        return None

    def estimate(select: Callable[[Sample], float | None], among: Sequence[Sample] = spoken) -> Estimate | None:
        return estimate_median([(one.text_id, value) for one in among if (value := select(one)) is not None])

    return SocketSummary(
        handshake_ms=estimate(_get_handshake_ms, [*_select_socket_samples(warmups), *spoken]),
        text_ms=estimate(lambda one: one.request_phases.send_ms if one.request_phases is not None else None),
        ttfa_after_flush_ms=estimate(_compute_ttfa_after_flush_ms),
        interruptions=_summarize_interruptions(interruptions),
    )


def _select_socket_samples(samples: Sequence[Sample]) -> list[Sample]:
    return [
        sample
        for sample in samples
        if sample.request_phases is not None and sample.request_phases.http_version == WEBSOCKET_VERSION
    ]


def _get_handshake_ms(sample: Sample) -> float | None:
    return sample.request_phases.connect_ms if sample.request_phases is not None else None


def _compute_ttfa_after_flush_ms(sample: Sample) -> float | None:
    latency, phases = sample.latency, sample.request_phases
    if latency is None or latency.ttfa_ms is None or phases is None or phases.flush_ms is None:
        return None
    return latency.ttfa_ms - phases.flush_ms


def _summarize_interruptions(interruptions: Sequence[tuple[str, Interruption]]) -> InterruptionSummary | None:
    if not interruptions:
        return None
    last = [(text, one.last_audio_ms or 0.0) for text, one in interruptions]
    late = [(text, one.late_audio_s) for text, one in interruptions if one.late_audio_s is not None]
    following = [(text, one.next_audio_ms) for text, one in interruptions if one.next_audio_ms is not None]
    return InterruptionSummary(
        count=len(interruptions),
        last_audio_ms=estimate_median(last),
        last_audio_max_ms=max(value for _, value in last),
        late_audio_s=estimate_median(late),
        next_audio_ms=estimate_median(following),
        next_audio_max_ms=max((value for _, value in following), default=None),
        silent_count=len(interruptions) - len(following),
    )
