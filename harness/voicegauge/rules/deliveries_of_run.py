"""Compares each delivery with the other deliveries of the same run.

A service that delivers the same audio for different texts, or one text far faster than all others, is found without a
model and in every language. Of earlier deliveries only measurements are kept, so that endless traffic takes little
memory.
"""

from __future__ import annotations

import copy
import json
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import Target
from voicegauge.formats.locations import MISSING, write_value_at_pointer
from voicegauge.model.exchange import Exchange
from voicegauge.rules.call import CheckSubject
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.speech.listening import (
    PaceComparison,
    compare_pace,
    list_spoken_letters,
    measure_pace,
)

MAX_REMEMBERED_DIGESTS = 5000
"""Maximum number of deliveries of a run whose digests are kept; above it, the oldest is forgotten."""
MAX_REMEMBERED_PACES = 60
"""Maximum number of deliveries by one voice whose pace is kept."""


@dataclass(frozen=True, eq=False)
class DeliveryAmongOthers(CheckSubject):
    """A delivery of audible speech, compared with the other deliveries of the run before it."""

    speech_delivery: SpeechDelivery
    other_text_with_same_audio: str | None
    """A different text for which the same samples were delivered; `None` if there was none."""
    pace_comparison: PaceComparison | None
    """`None` if the pace cannot be compared."""
    fitting_count: int
    """Number of earlier deliveries of the target whose audio fitted their text; 0 if that of any did not."""

    @property
    def operation(self) -> Operation:
        """The operation of the speech request."""
        return self.speech_delivery.operation

    @property
    def target(self) -> Target | None:
        """The target of the speech request."""
        return self.speech_delivery.target

    @property
    def exchange(self) -> Exchange:
        """The exchange that contains the audio."""
        return self.speech_delivery.exchange

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """The dispute pointers of the delivery."""
        return self.speech_delivery.disputable_pointers


class DeliveriesOfRun:
    """Measurements of the deliveries of a run so far."""

    def __init__(self) -> None:
        """Begin with no delivery."""
        self._text_by_digest: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._paces: dict[tuple[object, ...], deque[float]] = {}
        self._fitting_counts: Counter[str] = Counter()
        self._unfitting_counts: Counter[str] = Counter()
        self.unjudged_words_count_by_reason: Counter[str] = Counter()
        """Number of deliveries of audible speech of which it was not judged whether they say their text."""

    def add_comparisons(self, subjects: Iterable[CheckSubject]) -> list[CheckSubject]:
        """Return `subjects`, and for each delivery of speech among them its comparison with the earlier ones."""
        extended: list[CheckSubject] = []
        for subject in subjects:
            extended.append(subject)
            if isinstance(subject, SpeechDelivery):
                reason = subject.unjudged_words_reason
                self.unjudged_words_count_by_reason.update([reason] if reason is not None else [])
                compared = self._compare_delivery(subject)
                extended += [compared] if compared is not None else []
        return extended

    def _compare_delivery(self, speech_delivery: SpeechDelivery) -> DeliveryAmongOthers | None:
        audio = speech_delivery.measured_audio
        digest = None if audio is None or not speech_delivery.has_ordinary_text else audio.sample_digest
        if digest is None or speech_delivery.is_silent:
            return None
        return DeliveryAmongOthers(
            speech_delivery,
            other_text_with_same_audio=self._find_other_text(speech_delivery, digest),
            pace_comparison=self._compare_pace(speech_delivery),
            fitting_count=self._count_fitting(speech_delivery),
        )

    def _count_fitting(self, speech_delivery: SpeechDelivery) -> int:
        spoken, target_id = speech_delivery.spoken_text, speech_delivery.target.id
        count = 0 if self._unfitting_counts[target_id] else self._fitting_counts[target_id]
        if spoken is not None:
            self._fitting_counts[target_id] += spoken.verdict in ("fits", "right")
            self._unfitting_counts[target_id] += spoken.verdict == "does not fit"
        return count

    def _find_other_text(self, speech_delivery: SpeechDelivery, digest: str) -> str | None:
        text, key = speech_delivery.speech_request.text, (speech_delivery.target.contract.id, digest)
        earlier = self._text_by_digest.setdefault(key, text)
        if len(self._text_by_digest) > MAX_REMEMBERED_DIGESTS:
            self._text_by_digest.popitem(last=False)
        return earlier if list_spoken_letters(earlier) != list_spoken_letters(text) else None

    def _compare_pace(self, speech_delivery: SpeechDelivery) -> PaceComparison | None:
        pace = _measure_pace(speech_delivery)
        if pace is None:
            return None
        others = self._paces.setdefault(_find_voice_key(speech_delivery), deque(maxlen=MAX_REMEMBERED_PACES))
        comparison = compare_pace(pace, others)
        others.append(pace)
        return comparison


def _measure_pace(speech_delivery: SpeechDelivery) -> float | None:
    decoded = speech_delivery.decoded_audio
    if decoded is None or decoded.is_truncated:
        return None
    return measure_pace(decoded.samples, decoded.sample_rate_hz, speech_delivery.speech_request.text)


def _find_voice_key(speech_delivery: SpeechDelivery) -> tuple[object, ...]:
    """Return what deliveries have in common whose pace is compared: the target, and the request without its text.

    Any other field may change the pace, also one that the contract does not name a speed.
    """
    submit = speech_delivery.submit_call
    location = speech_delivery.target.speech.request_fields["text"].location
    if submit is None:
        return speech_delivery.target.id, repr(msgspec.structs.replace(speech_delivery.speech_request, text=""))
    body: object = submit.exchange.request.body
    parsed = submit.parsed_exchange.request_json
    if location.message_part == "body" and parsed is not MISSING:
        body = json.dumps(write_value_at_pointer(copy.deepcopy(parsed), location.pointer_tokens, ""), sort_keys=True)
    return speech_delivery.target.id, submit.exchange.request.url, body
