"""Adds short audio clips to findings, so that a report page can play what was wrong."""

from __future__ import annotations

import msgspec

from voicegauge.checks import CheckSubject, DeliveryPair, SpeechDelivery
from voicegauge.model import Finding, FindingClip

MAX_CLIP_DURATION_S = 5.0
"""Maximum duration of a clip in seconds; the rest of the audio is left out."""
MAX_CLIP_SAMPLE_RATE_HZ = 32_000
"""Highest sample rate of a clip, which is the lowest sample rate of MPEG-1."""
MAX_TOTAL_CLIP_BYTES = 180_000
"""Maximum size, in bytes, of all clips of a check. With it, a page of 500 findings stays below a megabyte."""


class FindingClips:
    """Chooses and encodes the clips of one check."""

    def __init__(self, max_total_bytes: int = MAX_TOTAL_CLIP_BYTES) -> None:
        """Begin without clips.

        Args:
            max_total_bytes: size of all clips together.
        """
        self._left_bytes = max_total_bytes
        self._clip_ids: set[tuple[str, str]] = set()

    def add_clips(self, findings: list[Finding], subject: CheckSubject) -> list[Finding]:
        """Return `findings`, and add a clip of the audio of `subject` to each finding that is new.

        A finding is new if it has not occurred with an earlier subject. No clip is added if `subject` has no audio, or
        if the clips together would be larger than `max_total_bytes`.
        """
        delivery = subject.changed_delivery if isinstance(subject, DeliveryPair) else subject
        if not isinstance(delivery, SpeechDelivery) or not findings:
            return findings
        clip: FindingClip | None = None
        clipped = []
        for finding in findings:
            clip_id = (finding.fingerprint, finding.severity.value)
            if clip_id in self._clip_ids or self._left_bytes <= 0:
                clipped.append(finding)
                continue
            self._clip_ids.add(clip_id)
            clip = clip or _build_clip(delivery)
            if clip is None or len(clip.data) > self._left_bytes:
                clipped.append(finding)
                continue
            self._left_bytes -= len(clip.data)
            clipped.append(msgspec.structs.replace(finding, clip=clip))
        return clipped


def _build_clip(delivery: SpeechDelivery) -> FindingClip | None:
    decoded = delivery.decoded_audio
    if decoded is None or not len(decoded.samples):
        return None
    from voicegauge.speech.audio import encode, resample

    samples = decoded.samples[: int(MAX_CLIP_DURATION_S * decoded.sample_rate_hz)]
    if decoded.sample_rate_hz > MAX_CLIP_SAMPLE_RATE_HZ:
        samples = resample(samples, decoded.sample_rate_hz, MAX_CLIP_SAMPLE_RATE_HZ)
    data, media_type = encode(samples, min(decoded.sample_rate_hz, MAX_CLIP_SAMPLE_RATE_HZ), "mp3")
    audio_s = len(decoded.samples) / decoded.sample_rate_hz
    return FindingClip(media_type=media_type, data=data, audio_duration_s=round(audio_s, 2))
