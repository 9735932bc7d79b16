"""Measures the audio of a run after its last request: its facts, how it arrived, and how it would have been played.

The streams of a target are summarized here, and the loudness, bandwidth and defects of its audio.

A sample whose audio cannot be used counts as failed, like a sample without audio.
"""

from __future__ import annotations

import os
import statistics
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from voicegauge.bench._transcription_workers import AudioClip
from voicegauge.bench.estimates import Estimate, estimate_mean, estimate_median, estimate_share
from voicegauge.bench.target_samples import select_values_by_text
from voicegauge.contract.contract import BaseTarget, Target
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.extension.speech import AudioFormat, ResponseAudio, SpeechField
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.errors import DataError
from voicegauge.files import read_file, require_files_in_folder
from voicegauge.formats.bodies import UnreadableBodyError
from voicegauge.model.base import Record
from voicegauge.model.exchange import Delivery, Exchange, Failure
from voicegauge.model.sample import AudioFacts, Sample, StreamArrivals
from voicegauge.printable_text import format_count
from voicegauge.rules.call import find_documented_default
from voicegauge.speech.audio_measurement import FRAME_DURATION_S, EncodedAudio, PlaybackTimeline
from voicegauge.speech.containers import find_container_of_media_type, sniff_container
from voicegauge.speech.decoding import RawAudioFormat
from voicegauge.speech.encoding import find_container_of_format
from voicegauge.speech.sound_quality import measure_voice
from voicegauge.speech.speech_signal import measure_quality


def measure_audio(
    run_folder: Path,
    samples: Iterable[Sample],
    targets: Mapping[str, BaseTarget],
    on_sample: Callable[[], None] = lambda: None,
) -> tuple[Sample, ...]:
    """Return the samples with the measurements of their audio and the time to first audible speech.

    A sample becomes a failure if its audio cannot be decoded, or is longer than the decoder accepts. The work is
    distributed over all processors.

    Args:
        run_folder: folder of the run.
        samples: the samples as the journal lists them.
        targets: the targets by id; the contract of a target declares the encoding of raw audio.
        on_sample: called after each sample.

    Raises:
        DataError: an audio file of the run is missing, unreadable or outside of its folder.
    """
    measured = []
    # Threads are enough to use all processors: the decoders do not hold Python's lock.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        # Samples of several targets may have one file: what they transcribe is synthesized once for all.
        by_file: dict[AudioFacts, Future[_MeasuredAudio]] = {}
        samples = tuple(samples)
        for sample in samples:
            if sample.audio is not None and sample.audio not in by_file:
                by_file[sample.audio] = pool.submit(_measure_file, run_folder, sample.audio, targets.get(sample.target))
        try:
            for sample in samples:
                audio = by_file[sample.audio].result() if sample.audio is not None else None
                measured.append(sample if audio is None else _add_audio_measurements(sample, audio))
                on_sample()
        except BaseException:
            # After Ctrl-C, files that no thread has begun are not worth waiting for.
            pool.shutdown(cancel_futures=True)
            raise
    return tuple(measured)


_MAX_INSPECTED_BYTES = 1024
"""Number of bytes at the start of a body that are inspected to distinguish text from raw audio."""


class _MeasuredAudio(NamedTuple):
    """What was measured of the audio of one sample."""

    facts: AudioFacts
    timeline: PlaybackTimeline | None
    """When each part of the audio can be played; `None` for audio that could not be decoded."""
    failure: Failure | None
    """Why the audio cannot be used; `None` if it can be used, or if its encoding is not known."""


def _measure_file(run_folder: Path, saved_audio: AudioFacts, target: BaseTarget | None) -> _MeasuredAudio:
    path = run_folder / saved_audio.file_path
    require_files_in_folder([path], run_folder)
    try:
        data = read_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    audio = EncodedAudio(data, media_type=saved_audio.media_type, raw_format=_find_documented_raw_format(target))
    facts, decoded = audio.measure_facts(saved_audio.file_path), audio.decoded_audio
    if decoded is not None:
        quality = measure_quality(decoded.samples, decoded.sample_rate_hz, decoded.codec)
        voice = measure_voice(decoded.samples, decoded.sample_rate_hz)
        facts = msgspec.structs.replace(facts, **quality._asdict(), **voice._asdict())
    return _MeasuredAudio(facts, audio.playback_timeline, _find_audio_failure(audio))


def _find_audio_failure(audio: EncodedAudio) -> Failure | None:
    if audio.decode_error is None or _has_unknown_encoding(audio.media_type, audio.data):
        return None
    declared = f" (declared as {audio.media_type})" if audio.media_type else ""
    return Failure(kind="audio", message=f"the audio cannot be decoded: {audio.decode_error}{declared}")


def _has_unknown_encoding(media_type: str | None, data: bytes) -> bool:
    """Whether `data` is declared as raw audio, and is in no container and not a text.

    If such audio cannot be decoded, its encoding is unknown, which does not count as a failure of the sample. Without a
    media type (`None`), `data` does not count as raw audio.
    """
    head = data[:_MAX_INSPECTED_BYTES]
    is_text = head.isascii() and b"\0" not in head  # an error page; samples use all byte values, and silence is zeros
    return find_container_of_media_type(media_type) == "pcm" and sniff_container(data) is None and not is_text


def count_samples_with_unknown_encoding(samples: Iterable[Sample]) -> dict[str, int]:
    """Return, by target, the number of samples whose audio was not decoded because its encoding is not known."""
    return dict(
        Counter(one.target for one in samples if one.audio and not one.failure and one.audio.audio_duration_s is None)
    )


def is_clip_silent(sample: Sample) -> bool:
    """Whether the audio of a sample was decoded and contains nothing audible."""
    facts = sample.audio
    if facts is None or facts.audio_duration_s is None or facts.leading_silence_s is None:
        return False
    # The leading silence of a clip without an audible frame is the whole clip, up to the length of a frame.
    return facts.leading_silence_s >= facts.audio_duration_s - FRAME_DURATION_S


def describe_unexpected_formats(samples: Iterable[Sample], targets: Mapping[str, BaseTarget]) -> dict[str, str]:
    """Return, by target id, a text that says how many clips have another container than the documented format."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for sample in samples:
        target, facts = targets.get(sample.target), sample.audio
        documented = _find_default_audio_format(target) if isinstance(target, Target) else None
        expected = find_container_of_format(documented.codec) if documented is not None else None
        if facts is not None and facts.container and expected is not None and facts.container != expected:
            counts[sample.target, expected, facts.container] += 1
    clips: dict[str, list[str]] = {}
    for (name, expected, container), count in counts.items():
        clips.setdefault(name, []).append(f"{count} {'clip' if count == 1 else 'clips'} of {container}, not {expected}")
    return {name: ", ".join(texts) for name, texts in clips.items()}


def _add_audio_measurements(sample: Sample, measured_audio: _MeasuredAudio) -> Sample:
    latency, streaming, silence_s = sample.latency, sample.streaming, measured_audio.facts.leading_silence_s
    if latency is not None and latency.ttfa_ms is not None and silence_s is not None:
        ttfa_ms, ttfs_ms = latency.ttfa_ms, latency.ttfa_ms + silence_s * 1000
        if streaming is not None and measured_audio.timeline is not None:
            ttfa_ms = find_first_audio_ms(streaming, measured_audio.timeline)
            streaming, ttfs_ms = add_playback_measurements(streaming, measured_audio.timeline, silence_s)
        latency = msgspec.structs.replace(latency, ttfa_ms=ttfa_ms, ttfs_ms=ttfs_ms)
    return msgspec.structs.replace(
        sample,
        audio=measured_audio.facts,
        latency=latency,
        streaming=streaming,
        failure=sample.failure or measured_audio.failure,
    )


def _find_documented_raw_format(target: BaseTarget | None) -> RawAudioFormat | None:
    """Return the encoding that the contract declares for audio without a header.

    `None` if it declares none, or without a target (`None`).
    """
    if isinstance(target, Target):
        documented = _find_default_audio_format(target)
        if documented is not None and documented.sample_rate_hz is not None:
            return RawAudioFormat(
                format=documented.codec, sample_rate_hz=documented.sample_rate_hz, channels=documented.channels
            )
    spec = _find_response_audio(target)
    if spec is None or spec.format is None or spec.sample_rate_hz is None:
        return None
    return RawAudioFormat(format=spec.format, sample_rate_hz=spec.sample_rate_hz, channels=spec.channels)


def _find_default_audio_format(target: Target) -> AudioFormat | None:
    """Return what the contract states about the audio format that is received if a request names no format.

    It is the format that the contract sets for the target, otherwise the default of the operation; `None` if neither is
    documented.
    """
    mapping = target.speech.request_fields.get("format")
    if mapping is None:
        return None
    value = mapping.provider_values.get(target.target_spec.default_format or "", target.target_spec.default_format)
    if value is None:
        value = find_documented_default(target.operation, mapping.location, target.target_spec.request_media_type)
    audio_format = target.find_audio_format(value)
    if audio_format is None:
        return None
    return audio_format.replace_requested_properties(
        container=_find_sent_or_default_value(target, "container"),
        sample_rate=_find_sent_or_default_value(target, "sample_rate"),
        bit_rate=_find_sent_or_default_value(target, "bit_rate"),
    )


def _find_sent_or_default_value(target: Target, field: SpeechField) -> object:
    """Return the value that benchmark requests send in a field, or its documented default, or `None`."""
    mapping = target.speech.request_fields.get(field)
    if mapping is None:
        return None
    default = find_documented_default(target.operation, mapping.location, target.target_spec.request_media_type)
    return target.target_spec.request_constants.get(mapping.location, default)


def _find_response_audio(target: BaseTarget | None) -> ResponseAudio | None:
    if isinstance(target, Target):
        return target.response_audio
    return target.response.audio if target is not None else None


MAX_NAMED_DAMAGED_CLIPS = 3
"""Largest number of clips without their measured audio that a sentence names."""


def describe_damaged_audio(run_folder: Path, samples: Iterable[Sample]) -> str:
    """Return how many audio files of a run are missing or have changed since they were measured, and of which samples.

    The result is empty if all files are those that were measured.
    """
    sample_by_file = {sample.audio.file_path: sample for sample in samples if sample.audio is not None}
    damaged = []
    for path, sample in sample_by_file.items():
        try:
            AudioClip.of_sample(run_folder, sample).read()
        except DataError:
            damaged.append(f"{path} of {sample.id} ({'changed' if (run_folder / path).is_file() else 'missing'})")
    if not damaged:
        return ""
    more = f" and {len(damaged) - MAX_NAMED_DAMAGED_CLIPS:,} more" if len(damaged) > MAX_NAMED_DAMAGED_CLIPS else ""
    files = f"{len(damaged):,} of {format_count(len(sample_by_file), 'audio file')}"
    return f"{files} missing or changed since the measurement: {', '.join(damaged[:MAX_NAMED_DAMAGED_CLIPS])}{more}"


# Measures the arrival of streamed audio, chunk by chunk, and simulates its playback.


MAX_MERGED_GAP_MS = 1.0
"""Chunks that arrive within this time count as one chunk, because the network splits data arbitrarily."""
MIN_STALL_MS = 1.0
"""Shortest stall that counts; shorter ones are within the precision of the timestamps."""


def measure_streaming(delivery: Delivery, target: BaseTarget, *, latency_start_ms: float) -> StreamArrivals | None:
    """Measure the arrival of streamed audio; `add_playback_measurements` later adds the values that require decoding.

    A stream is an event stream, or a response of bytes without a Content-Length.

    Args:
        delivery: the exchanges of one sample, with their timings.
        target: the target that the request was sent to.
        latency_start_ms: the moment from which times count, on the clock of `Timing.started_ms`.

    Returns:
        The measurements; `None` if the audio was not streamed in the response to the submit, or was not timed.
    """
    index, spec = delivery.audio_exchange_index, target.response.audio
    if index is None or index != delivery.submit_exchange_index or spec is None:
        return None
    exchange = delivery.exchanges[index]
    if spec.delivery_method == "stream" and target.operation.stream is not None:
        return _measure_event_stream(exchange, target.operation.stream, latency_start_ms)
    # A provider that knows the length has finished the audio before it sends the first byte.
    is_streamed = spec.delivery_method == "bytes" and exchange.response.find_header("content-length") is None
    return _merge_chunks(_read_body_arrivals(exchange, latency_start_ms)) if is_streamed else None


def _read_body_arrivals(exchange: Exchange, latency_start_ms: float) -> list[tuple[float, int]]:
    """Return the arrivals of the body as (ms, bytes so far).

    The list is empty if a content encoding was removed, because the timed chunks are then not chunks of the body.
    """
    chunks = exchange.timing.chunk_arrivals if exchange.timing is not None else ()
    sizes = list(accumulate(size for _, size in chunks))
    if exchange.timing is None or not sizes or sizes[-1] != len(exchange.response.body):
        return []
    start_ms = exchange.timing.started_ms - latency_start_ms
    return [(start_ms + at_ms, size) for (at_ms, _), size in zip(chunks, sizes, strict=True)]


def _measure_event_stream(
    exchange: Exchange, stream_spec: StreamSpec, latency_start_ms: float
) -> StreamArrivals | None:
    arrivals = _read_body_arrivals(exchange, latency_start_ms)
    stream = parse_exchange(exchange).read_stream(stream_spec)
    if not arrivals or not stream.events:
        return None
    sizes = [size for _, size in arrivals]

    def find_arrival_ms(end_offset: int) -> float:
        """Return when the body's byte before offset `end_offset` arrived."""
        return arrivals[bisect_left(sizes, end_offset)][0]

    try:
        audio = [
            (find_arrival_ms(event.end_offset), len(data)) for event, data in stream.iterate_audio_events() if data
        ]
    except UnreadableBodyError:
        return None
    totals = list(accumulate(size for _, size in audio))
    chunks = [(at, total) for (at, _), total in zip(audio, totals, strict=True)]
    return _merge_chunks(chunks, first_event_ms=find_arrival_ms(stream.events[0].end_offset))


def _merge_chunks(arrivals: Sequence[tuple[float, int]], first_event_ms: float | None = None) -> StreamArrivals | None:
    """Return the chunks, and the gaps between them; `None` without arrivals.

    Arrivals less than `MAX_MERGED_GAP_MS` apart are one chunk.

    Args:
        arrivals: for each arrival, its time in ms and the number of bytes received until then.
        first_event_ms: time of the first event of an event stream; `None` for another response.
    """
    if not arrivals:
        return None
    chunks = [arrivals[0]]
    for at, size in arrivals[1:]:
        if at - chunks[-1][0] < MAX_MERGED_GAP_MS:
            chunks[-1] = (chunks[-1][0], size)
        else:
            chunks.append((at, size))
    gaps = [after - before for (before, _), (after, _) in pairwise(chunks)]
    return StreamArrivals(
        first_event_ms=first_event_ms,
        chunks=tuple(chunks),
        gap_p50_ms=statistics.median(gaps) if gaps else None,
        gap_max_ms=max(gaps, default=None),
    )


class SimulatedPlayback(NamedTuple):
    """Simulated playback of a stream by a player that starts with the first audio."""

    stalls_ms: tuple[float, ...]
    """Duration of each buffer underrun."""
    requested_position_played_at_ms: float
    """Time at which the requested position of the audio is played."""
    requested_position_arrived_at_ms: float
    """Time at which the requested position of the audio has arrived."""
    max_lateness_ms: float
    """Longest time by which audio arrives too late for a player that never stalls."""


def simulate_playback(chunk_arrivals: Sequence[tuple[float, float]], requested_position_s: float) -> SimulatedPlayback:
    """Simulate a player that starts with the first audio and stalls when its buffer is empty.

    Args:
        chunk_arrivals: tuples (arrival in ms, seconds of audio that can be played by then); both values ascend.
        requested_position_s: the position in the audio whose times are reported, in seconds from its start. If the
            audio ends before it, both times are the arrival of the last chunk.
    """
    stalls: list[float] = []
    buffered_s = 0.0
    empty_ms: float | None = None  # when the buffered audio will have been played
    played_ms = arrived_ms = chunk_arrivals[-1][0]
    first_ms: float | None = None  # when playback starts
    worst_deficit_ms = 0.0
    found = False
    for at_ms, playable_s in chunk_arrivals:
        if playable_s <= buffered_s:  # a chunk that completes no audio frame
            continue
        if empty_ms is not None and at_ms - empty_ms > MIN_STALL_MS:
            stalls.append(at_ms - empty_ms)
        first_ms = at_ms if first_ms is None else first_ms
        # Beside a player that never waits: one that stalls would be late with all that follows, and hide later delays.
        worst_deficit_ms = max(worst_deficit_ms, at_ms - first_ms - buffered_s * 1000)
        start_ms = at_ms if empty_ms is None else max(at_ms, empty_ms)
        if not found and playable_s > requested_position_s:
            found, played_ms, arrived_ms = True, start_ms + (requested_position_s - buffered_s) * 1000, at_ms
        empty_ms = start_ms + (playable_s - buffered_s) * 1000
        buffered_s = playable_s
    return SimulatedPlayback(tuple(stalls), played_ms, arrived_ms, worst_deficit_ms)


def find_first_audio_ms(streaming: StreamArrivals, timeline: PlaybackTimeline) -> float:
    """Return when the first byte of audio data after any header of the container arrived, in ms."""
    after_header = (at for at, size in streaming.chunks if size > timeline.header_bytes)
    return next(after_header, streaming.chunks[-1][0])


def add_playback_measurements(
    streaming: StreamArrivals, timeline: PlaybackTimeline, leading_silence_s: float
) -> tuple[StreamArrivals, float]:
    """Add buffer underruns and the arrival of the first audible speech to a measured stream.

    Args:
        streaming: measured arrival of the chunks.
        timeline: number of seconds of the decoded audio that can be played for each number of bytes received.
        leading_silence_s: duration in seconds of the leading silence of the audio.

    Returns:
        The stream, and the time to first audible speech in milliseconds.
    """
    playback = simulate_playback(
        [(at, timeline.compute_playable_s(size)) for at, size in streaming.chunks], leading_silence_s
    )
    measured = msgspec.structs.replace(
        streaming,
        first_speech_ms=playback.requested_position_arrived_at_ms,
        underruns=len(playback.stalls_ms),
        stalled_ms=sum(playback.stalls_ms),
        worst_deficit_ms=playback.max_lateness_ms,
    )
    return measured, playback.requested_position_played_at_ms


class StreamSummary(Record, frozen=True, kw_only=True):
    """Arrival and simulated playback of streamed audio; medians over samples unless a field says otherwise.

    Times are milliseconds from the start of the first submit of a sample; a time is `None` if no sample has it.
    """

    first_event_ms: Estimate | None
    """Time until the first event; only for event streams."""
    first_speech_ms: Estimate | None
    """Time until the audio with the first speech has arrived. It is played later, at `TargetSummary.ttfs_ms`."""
    gap_p50_ms: Estimate | None
    """Median, over samples, of the median gap between two successive chunks of a sample."""
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


def summarize_streaming(samples: Sequence[Sample]) -> StreamSummary | None:
    """Summarize the streams of one target; `None` if no audio was streamed."""
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


# Summarizes loudness, bandwidth and defects of the audio, which say nothing about its words.


class AudioQualitySummary(Record, frozen=True, kw_only=True):
    """Measures of the audio of one target that say nothing about its words."""

    sample_count: int
    """Number of samples with measured audio."""
    loudness_lufs: Estimate | None
    """Median integrated loudness (ITU-R BS.1770-5) of a sample."""
    noise_floor_dbfs: Estimate | None
    """Median level that a tenth of the frames of a sample do not exceed; `None` if all are digitally silent."""
    bandwidth_hz: Estimate | None
    """Median frequency above which the spectrum of a sample ends abruptly."""
    max_clipped_share: float
    """Largest share of clipped audio samples in any clip, from 0 to 1."""
    max_dc_offset: float
    """Largest absolute mean of the audio samples of any clip, relative to full scale."""
    upsampled_count: int
    """Number of samples of the benchmark whose audio was made at a lower sample rate than it states."""
    clicking_count: int
    """Number of samples of the benchmark whose audio has a click."""
    sample_rates_hz: tuple[int, ...]
    """The sample rates of the audio, in ascending order."""
    channel_counts: tuple[int, ...]
    """The numbers of channels of the audio, in ascending order."""


def summarize_audio_quality(samples: Sequence[Sample]) -> AudioQualitySummary | None:
    """Summarize the sound of the samples of one target; `None` if none has measured audio."""
    measured = [
        (sample.text_id, sample.audio)
        for sample in samples
        if sample.failure is None and sample.audio is not None and sample.audio.click_count is not None
    ]
    if not measured:
        return None

    def estimate_median_fact(select_fact: Callable[[AudioFacts], float | None]) -> Estimate | None:
        return estimate_median([(text, value) for text, one in measured if (value := select_fact(one)) is not None])

    facts = [one for _, one in measured]
    return AudioQualitySummary(
        sample_count=len(facts),
        loudness_lufs=estimate_median_fact(lambda one: one.loudness_lufs),
        noise_floor_dbfs=estimate_median_fact(lambda one: one.noise_floor_dbfs),
        bandwidth_hz=estimate_median_fact(lambda one: one.bandwidth_hz),
        max_clipped_share=max(one.clipped_share or 0.0 for one in facts),
        max_dc_offset=max(abs(one.dc_offset or 0.0) for one in facts),
        upsampled_count=sum(bool(one.is_upsampled) for one in facts),
        clicking_count=sum(bool(one.click_count) for one in facts),
        sample_rates_hz=tuple(sorted({one.sample_rate_hz for one in facts if one.sample_rate_hz})),
        channel_counts=tuple(sorted({one.channels for one in facts if one.channels})),
    )
