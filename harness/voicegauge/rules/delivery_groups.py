"""Compares each delivery with the other deliveries of the same run.

A service that delivers the same audio for different texts, or one text far faster than all others, is found without a
model and in every language. Of earlier deliveries only measurements are kept, so that endless traffic takes little
memory.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from voicegauge.contract.contract import Target
from voicegauge.contract.operation import Operation
from voicegauge.formats.locations import write_value_at_pointer
from voicegauge.model.base import Record
from voicegauge.model.exchange import Exchange
from voicegauge.rules.call import CheckSubject, find_documented_default
from voicegauge.rules.socket_subjects import SpokenTurn, TurnAmongOthers
from voicegauge.rules.subjects import DeliveryPair, SpeechDelivery
from voicegauge.speech.listening import (
    TOO_FEW_COMPARED_CLIPS_REASON,
    PaceComparison,
    can_report_unfitting_text,
    compare_pace,
    list_spoken_letters,
    measure_pace,
)

KeyT = TypeVar("KeyT")
"""What the values of a table are stored by."""
ValueT = TypeVar("ValueT")
"""What is stored in a table."""

MAX_REMEMBERED_DIGESTS = 5000
"""Maximum number of digests of audio, and of requests, that are kept of a run; above it, the oldest is forgotten."""
MAX_REMEMBERED_PACES = 60
"""Maximum number of deliveries by one voice whose pace is kept."""


MAX_REMEMBERED_MEASUREMENTS = 100
"""Maximum number of deliveries in `DeliveriesOfRun.latest_measurements`. A case has a few."""
MIN_COMPARED_SPEED_CHANGE = 1.4
"""Smallest factor between two speeds that are compared. A smaller change is hidden by the variation between two
syntheses of the same text."""

MIN_SPEED_EXPONENT = 1 / 3
"""The measured change of pace must be at least the requested change of speed raised to this exponent: at twice the
speed, the text must be spoken at least 1.26 times as fast."""


class SpeedPace(NamedTuple):
    """The pace of one text at one requested speed."""

    speed: float
    """The requested speed, as a factor of the usual one."""
    pace: float
    """Letters per second."""


class SpeedStep(NamedTuple):
    """Two neighbouring speeds at which one text was requested, with the same settings otherwise."""

    slower: SpeedPace
    """The lower of the two speeds."""
    faster: SpeedPace
    """The higher of the two speeds."""

    @property
    def exponent(self) -> float:
        """Logarithm of the measured change of pace, divided by that of the requested one: 1 if they are equal."""
        return math.log(self.faster.pace / self.slower.pace) / math.log(self.faster.speed / self.slower.speed)


@dataclass(frozen=True, eq=False)
class DeliveryAmongOthers(CheckSubject):
    """A delivery of audible speech, compared with the other deliveries of the run before it."""

    speech_delivery: SpeechDelivery
    """The delivery that is compared."""
    other_text_with_same_audio: str | None
    """A different text for which the same samples were delivered; `None` if there was none."""
    pace_comparison: PaceComparison | None
    """The pace of the delivery compared with that of others with the same settings; `None` if it cannot be compared."""
    flat_speed_steps: tuple[SpeedStep, ...]
    """The pairs of requested speeds between which the pace of the text hardly changes, although it changes between
    another pair. A pair is reported for one delivery of a run only."""
    can_doubt_text: bool
    """Whether a text that fits the audio no better than other texts is reported, by `can_report_unfitting_text`."""

    @property
    def operation(self) -> Operation:
        """The operation of the speech request."""
        return self.speech_delivery.operation

    @property
    def target(self) -> Target:
        """The target of the speech request."""
        return self.speech_delivery.target

    @property
    def exchange(self) -> Exchange:
        """The exchange that contains the audio."""
        return self.speech_delivery.exchange

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointers at which a dispute about the delivery can be recorded."""
        return self.speech_delivery.disputable_pointers


class DeliveryMeasurements(Record, frozen=True, kw_only=True):
    """Measurements of a delivery or turn of audible speech, with which those of later ones are compared.

    The journal of a check keeps them, so that a resumed check compares with the deliveries before its interruption.
    """

    provider: str
    """Id of the provider."""
    target: str
    """Id of the target."""
    text: str
    """The text that was requested."""
    fits_text: bool | None
    """Whether the audio fits its text; `None` if that is not known."""
    sample_digest: str | None = None
    """Digest of the samples of a delivery; `None` for a turn."""
    pace: float | None = None
    """Letters per second of a delivery; `None` if it cannot be compared, and for a turn."""
    settings_digest: str = ""
    """Digest of the target and of the request without its text: paces with an equal digest are compared; empty without
    a pace."""
    speed: float | None = None
    """The speed that was requested, or the default speed; `None` if requests have none, and without a pace."""
    settings_digest_without_speed: str = ""
    """Digest of the target and of the request without its speed; empty without a speed."""


def _list_unjudged_sound(subject: CheckSubject) -> Iterator[str]:
    """Yield the rules about sound that cannot judge a subject, each with its reason."""
    search = subject.dropout_search if isinstance(subject, SpeechDelivery) else None
    if search is not None and search.unjudged_reason is not None:
        yield f"audio-dropout: {search.unjudged_reason}"
    compared = subject.raw_rate_comparison if isinstance(subject, DeliveryPair) else None
    if compared is not None and compared.rate_hz is None:
        yield f"pcm-sample-rate: {compared.explanation}"


class DeliveriesOfRun:
    """Measurements of the deliveries of a run so far."""

    def __init__(self) -> None:
        """Create an object without measurements."""
        self.latest_measurements: deque[DeliveryMeasurements] = deque(maxlen=MAX_REMEMBERED_MEASUREMENTS)
        """Measurements of the latest deliveries, until the caller clears them."""
        # Ordered, so that the oldest entry can be forgotten when a table is full.
        self._text_by_digest: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._paces_by_settings: OrderedDict[str, deque[float]] = OrderedDict()
        self._pace_by_speed_by_settings: OrderedDict[str, dict[float, float]] = OrderedDict()
        self._reported_speeds_by_settings: OrderedDict[str, set[float]] = OrderedDict()
        self._fitting_count_by_target: Counter[str] = Counter()
        self._unfitting_count_by_target: Counter[str] = Counter()
        self.unjudged_words_count_by_reason: Counter[str] = Counter()
        """Number of deliveries and turns of audible speech of which it was not judged whether they say their text."""
        self.unjudged_sound_count_by_reason: Counter[str] = Counter()
        """Number of deliveries to which a rule about sound applies that could not judge them, by rule and reason."""

    def add_comparisons(self, subjects: Iterable[CheckSubject]) -> list[CheckSubject]:
        """Return `subjects`, and for each delivery and turn of speech among them its comparison with earlier ones."""
        extended: list[CheckSubject] = []
        for subject in subjects:
            extended.append(subject)
            if not isinstance(subject, SpeechDelivery | DeliveryPair | SpokenTurn):
                continue
            self.unjudged_sound_count_by_reason.update(_list_unjudged_sound(subject))
            if isinstance(subject, DeliveryPair):
                continue
            compared: DeliveryAmongOthers | TurnAmongOthers | None
            if isinstance(subject, SpeechDelivery):
                compared = self._compare_delivery(subject)
            else:
                compared = self._compare_turn(subject)
            extended += [compared] if compared is not None else []
            reason = subject.unjudged_words_reason
            if compared is not None and not compared.can_doubt_text and _fits_text(subject) is False:
                reason = TOO_FEW_COMPARED_CLIPS_REASON
            self.unjudged_words_count_by_reason.update([reason] if reason is not None else [])
        return extended

    def add_earlier_deliveries(self, measurements: Iterable[DeliveryMeasurements]) -> None:
        """Add deliveries of an earlier command, with which later ones are compared."""
        # Their comparisons were reported by the command that made them; here they only take their places in the tables.
        for one in measurements:
            self._find_other_text(one)
            self._compare_pace(one)
            self._compare_speeds(one)
            self._count_delivery_by_fit(one)

    def _compare_delivery(self, speech_delivery: SpeechDelivery) -> DeliveryAmongOthers | None:
        delivery_measurements = _measure_delivery(speech_delivery)
        if delivery_measurements is None:
            return None
        self.latest_measurements.append(delivery_measurements)
        return DeliveryAmongOthers(
            speech_delivery,
            other_text_with_same_audio=self._find_other_text(delivery_measurements),
            pace_comparison=self._compare_pace(delivery_measurements),
            flat_speed_steps=self._compare_speeds(delivery_measurements),
            can_doubt_text=self._count_delivery_by_fit(delivery_measurements),
        )

    def _compare_turn(self, turn: SpokenTurn) -> TurnAmongOthers:
        delivery_measurements = DeliveryMeasurements(
            provider=turn.target.contract.id, target=turn.target.id, text=turn.turn.text, fits_text=_fits_text(turn)
        )
        self.latest_measurements.append(delivery_measurements)
        return TurnAmongOthers(turn.target, turn.traffic, turn, self._count_delivery_by_fit(delivery_measurements))

    def _count_delivery_by_fit(self, delivery_measurements: DeliveryMeasurements) -> bool:
        """Count a delivery or turn by whether it fits its text; return whether a misfit may be reported."""
        target = delivery_measurements.target
        self._unfitting_count_by_target[target] += delivery_measurements.fits_text is False
        self._fitting_count_by_target[target] += delivery_measurements.fits_text is True
        return can_report_unfitting_text(self._fitting_count_by_target[target], self._unfitting_count_by_target[target])

    def _find_other_text(self, delivery_measurements: DeliveryMeasurements) -> str | None:
        """Return an earlier, different text with the same samples; `None` if there is none."""
        if delivery_measurements.sample_digest is None:
            return None
        earlier = _get_or_store(
            self._text_by_digest,
            (delivery_measurements.provider, delivery_measurements.sample_digest),
            delivery_measurements.text,
        )
        # Texts that differ in punctuation or capitals only may well sound alike.
        return earlier if list_spoken_letters(earlier) != list_spoken_letters(delivery_measurements.text) else None

    def _compare_pace(self, delivery_measurements: DeliveryMeasurements) -> PaceComparison | None:
        """Compare the pace with those of earlier deliveries with the same settings; `None` without a pace."""
        if delivery_measurements.pace is None:
            return None
        others = _get_or_store(
            self._paces_by_settings, delivery_measurements.settings_digest, deque(maxlen=MAX_REMEMBERED_PACES)
        )
        comparison = compare_pace(delivery_measurements.pace, others)
        others.append(delivery_measurements.pace)
        return comparison

    def _compare_speeds(self, delivery_measurements: DeliveryMeasurements) -> tuple[SpeedStep, ...]:
        """Return the pairs of speeds whose lack of effect this delivery shows, and no earlier delivery has shown."""
        pace, speed, key = (
            delivery_measurements.pace,
            delivery_measurements.speed,
            delivery_measurements.settings_digest_without_speed,
        )
        if pace is None or speed is None:
            return ()
        paces = _get_or_store(self._pace_by_speed_by_settings, key, {})
        if speed in paces or len(paces) >= MAX_REMEMBERED_PACES:
            return ()  # the first delivery at a speed has shown already what another one would show
        paces[speed] = pace
        steps = _list_speed_steps(paces)
        flat = [step for step in steps if step.exponent < MIN_SPEED_EXPONENT]
        if len(flat) == len(steps):
            return ()  # a speed that never has an effect is one finding, of `speed-ignored`
        known = _get_or_store(self._reported_speeds_by_settings, key, set())
        new = tuple(step for step in flat if not known & {step.slower.speed, step.faster.speed})
        known.update(speed for step in new for speed in (step.slower.speed, step.faster.speed))
        return new


def _get_or_store(table: OrderedDict[KeyT, ValueT], key: KeyT, new_value: ValueT) -> ValueT:
    """Return the value of `key`; if there is none, store `new_value`. Forget the oldest key above the limit."""
    value = table.setdefault(key, new_value)
    if len(table) > MAX_REMEMBERED_DIGESTS:
        table.popitem(last=False)
    return value


def _measure_delivery(speech_delivery: SpeechDelivery) -> DeliveryMeasurements | None:
    """Return the measurements of a delivery that are compared; `None` if the delivery cannot be compared."""
    audio = speech_delivery.measured_audio
    digest = None if audio is None or not speech_delivery.has_ordinary_text else audio.sample_digest
    if digest is None or speech_delivery.is_silent:
        return None
    text = speech_delivery.speech_request.text
    delivery_measurements = DeliveryMeasurements(
        provider=speech_delivery.target.contract.id,
        target=speech_delivery.target.id,
        text=text,
        sample_digest=digest,
        fits_text=_fits_text(speech_delivery),
    )
    pace = _measure_pace(speech_delivery)
    if pace is None:
        return delivery_measurements
    speed = _find_speed(speech_delivery)
    return msgspec.structs.replace(
        delivery_measurements,
        pace=pace,
        settings_digest=_hash_settings(_collect_settings(speech_delivery, "text")),
        speed=speed,
        settings_digest_without_speed=_hash_settings((text, *_collect_settings(speech_delivery, "speed")))
        if speed is not None
        else "",
    )


def _hash_settings(settings: tuple[object, ...]) -> str:
    """Return a digest of `settings`, which are not kept themselves, because a request may contain a key."""
    return hashlib.sha256(repr(settings).encode(errors="replace")).hexdigest()


def _fits_text(speech: SpeechDelivery | SpokenTurn) -> bool | None:
    """Return whether the audio of a delivery or a turn fits its text; `None` if that is not known."""
    spoken = speech.spoken_text
    return None if spoken is None else {"fits": True, "right": True, "does not fit": False}.get(spoken.verdict)


def _list_speed_steps(pace_by_speed: dict[float, float]) -> tuple[SpeedStep, ...]:
    """Return, for each speed, the step to the next speed that is at least `MIN_COMPARED_SPEED_CHANGE` times as high."""
    known = [SpeedPace(speed, pace) for speed, pace in sorted(pace_by_speed.items())]
    steps = []
    for slower in known:
        faster = next((one for one in known if one.speed >= slower.speed * MIN_COMPARED_SPEED_CHANGE), None)
        steps += [SpeedStep(slower, faster)] if faster is not None else []
    return tuple(steps)


def _find_speed(speech_delivery: SpeechDelivery) -> float | None:
    """Return the requested speed, or the default speed; `None` if requests to the target have no speed."""
    mapping = speech_delivery.target.speech.request_fields.get("speed")
    if mapping is None:
        return None
    if speech_delivery.speech_request.speed is not None:
        return speech_delivery.speech_request.speed
    operation, media_type = speech_delivery.operation, speech_delivery.target.target_spec.request_media_type
    default = find_documented_default(operation, mapping.location, media_type)
    return float(default) if isinstance(default, int | float) and default > 0 else 1.0


def _measure_pace(speech_delivery: SpeechDelivery) -> float | None:
    """Return the letters per second of a delivery; `None` if its audio is incomplete or its text is too short."""
    decoded = speech_delivery.decoded_audio
    if decoded is None or decoded.is_truncated:
        return None
    return measure_pace(decoded.samples, decoded.sample_rate_hz, speech_delivery.speech_request.text)


def _collect_settings(speech_delivery: SpeechDelivery, omitted_field: Literal["text", "speed"]) -> tuple[object, ...]:
    """Return what deliveries have in common whose pace is compared: the target, and the request without one field.

    Any other field may change the pace, also one that the contract does not name a speed.
    """
    submit, target_id = speech_delivery.submit_call, speech_delivery.target.id
    mapping = speech_delivery.target.speech.request_fields[omitted_field]
    # From the request as it was sent, which a recording has too; `speech_request` lacks what it has no name for.
    if submit is None:
        empty = {"text": ""} if omitted_field == "text" else {"speed": None}
        return target_id, repr(msgspec.structs.replace(speech_delivery.speech_request, **empty))
    url, body = submit.exchange.request.url, submit.exchange.request.body
    parsed, location = submit.parsed_exchange.request_json, mapping.location
    if location.message_part == "query":
        parts = urlsplit(url)
        query = [pair for pair in parse_qsl(parts.query) if pair[0] != location.name]
        url = urlunsplit(parts._replace(query=urlencode(query)))
    if location.message_part == "body" and isinstance(parsed, dict):
        with contextlib.suppress(ValueError):  # a text may stand where the field should be
            parsed = write_value_at_pointer(copy.deepcopy(parsed), location.pointer_tokens, "")
        return target_id, url, json.dumps(parsed, sort_keys=True)
    return target_id, url, body
