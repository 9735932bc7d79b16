"""The base class of all records, small records and enumerations for many packages, findings, and sums of dollars."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

StopReason = Literal["interrupted", "budget", "unreachable", "time"]
"""Why a check, a recording or a benchmark stopped early: Ctrl-C was pressed ("interrupted"), the budget was used up
("budget"), the service could not be reached ("unreachable"), or the time that the user allows was over ("time")."""


MAX_NUMBER = 1e15
"""Largest magnitude of a number in a saved run; sums and products of such numbers are still finite."""
Number = Annotated[float, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
"""A number in a saved run."""
NonNegativeNumber = Annotated[float, Meta(ge=0, le=MAX_NUMBER)]
"""A number in a saved run that cannot be negative, such as a duration, a price or a size."""
SignedCount = Annotated[int, Meta(ge=-(2**53), le=2**53)]
"""A whole number in a saved run, possibly negative; JSON parsers of every language read such a number exactly."""
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A whole number that cannot be negative, such as a number of requests or of bytes."""
PositiveCount = Annotated[int, Meta(ge=1, le=2**53)]
"""A whole number of at least one, such as a limit that other numbers are divided by."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An immutable record; decoding fails for unknown fields.

    Subclasses repeat `frozen=True, kw_only=True`: msgspec does not inherit `kw_only`, and type checkers do not see that
    it inherits `frozen`.
    """


class Provenance(StrEnum):
    """Where traffic comes from: a document, the emulator, a recording or a live service."""

    DOCUMENTED = "documented"
    """The traffic is an example in a provider's document; it was never sent."""
    EMULATED = "emulated"
    """The responses come from voicegauge's own emulator."""
    RECORDED = "recorded"
    """The responses come from a live service and were read from a recording."""
    LIVE = "live"
    """The responses come from a live service and were received by this command."""


class Severity(StrEnum):
    """The severity of a finding."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DISPUTED = "disputed"
    """The traffic violates one document but conforms to another; the contract records the contradiction."""


# Records of speech requests with provider-independent fields, which each contract maps to the provider's fields.


class VoiceSample(Record, frozen=True, kw_only=True):
    """Reference audio for voice cloning: a URL that the provider fetches, or a file to upload."""

    url: str | None = None
    """Address from which the provider fetches the recording; `None` if `data` is uploaded."""
    data: bytes | None = None
    """The recording as it is uploaded; `None` if the provider fetches `url`."""
    filename: str = "voice.wav"
    media_type: str = "audio/wav"


class SpeechRequest(Record, frozen=True, kw_only=True):
    """A request for speech.

    A field that is `None`, except `format`, is not sent, so that the provider's default applies.
    """

    text: str
    """The text to speak."""
    voice: str | None = None
    """The provider's id or name of the voice."""
    voice_description: str | None = None
    """The voice in words, for targets that make a voice of a description."""
    voice_sample: VoiceSample | None = None
    """The voice to clone, for targets that speak like a recording."""
    language: str | None = None
    format: str | None = None
    """Name of the audio format, as the provider writes it; `leaves_out_format` says what `None` means."""
    leaves_out_format: bool = False
    """Whether a request without `format` names no format at all, so that the provider's default applies. Otherwise the
    target's `default_format` is sent."""
    speed: float | None = None
    seed: int | None = None
    """Seed of the speech, for services that repeat it."""
    extra: dict[str, Any] = {}
    """Further values to send, by their location in the request: {"body#/temperature": 0.7}."""


# Splits a text as a language model writes it: in pieces of a few letters, with their times.


_SPACED_WORD_PATTERN = re.compile(r"\s*\S+\s*$|\s*\S+")
"""Matches a word with the blanks before it; the last one also with the blanks at the end of the text."""
_MAX_PIECE_CHARACTERS = 6
"""Maximum length of a piece of a word. English words of up to six letters are usually one token of a language model."""


class TextPacing(Record, frozen=True, kw_only=True):
    """How fast and in which pieces the text of a turn is sent."""

    pieces_per_s: float | None = None
    """Pieces per second; `None` if all pieces are sent at once."""
    burst: int = 1
    """Number of pieces that arrive together, as when a network delays some of them."""
    seed: int = 0
    """Seed of the random positions at which words are split."""

    def describe(self) -> str:
        """Return the pacing as a note: "30 pieces/s, 2 at a time"."""
        rate = "pieces at once" if self.pieces_per_s is None else f"{self.pieces_per_s:g} pieces/s"
        return f"{rate}, {self.burst} at a time" if self.burst > 1 else rate

    def split_text(self, text: str) -> Iterator[tuple[float, str]]:
        """Yield the text in parts, each after the time at which to send it, in seconds after the first.

        A part is as many pieces as arrive together (`burst`). Joined, the parts are the text.
        """
        pieces = list(split_into_tokens(text, self.seed))
        for index in range(0, len(pieces), max(self.burst, 1)):
            due_s = 0.0 if self.pieces_per_s is None else index / self.pieces_per_s
            yield due_s, "".join(pieces[index : index + max(self.burst, 1)])


def split_into_tokens(text: str, seed: int) -> Iterator[str]:
    """Yield pieces of a text: words with the blank before them, and parts of long words. Joined they are the text."""
    # Seeded with the text too: each text is split in its own way, and in the same way for every target.
    generator = random.Random(f"{seed} {text}")  # noqa: S311 - pieces of a text, not a secret
    for word in _SPACED_WORD_PATTERN.findall(text):
        while len(word) > _MAX_PIECE_CHARACTERS:
            length = generator.randint(3, _MAX_PIECE_CHARACTERS)
            yield word[:length]
            word = word[length:]
        if word:
            yield word


# Exact sums of dollars: amounts are counted in whole millionths of a dollar, as plans and the ledger reserve them.


MICRO_USD_PER_USD = 1_000_000
"""Number of millionths in a dollar."""


def convert_to_micro_usd(amount_usd: float) -> int:
    """Convert dollars to millionths and round up, so that a reservation is never smaller than the price.

    Raises:
        ValueError: the amount is negative or not finite.
    """
    if not math.isfinite(amount_usd) or amount_usd < 0:
        raise ValueError(f"{amount_usd} is not a valid price: it must be a finite number of dollars, zero or more")
    # Rounded to thousandths first: 0.000123 * 1e6 is 123.00000000000001, which must not become 124.
    return math.ceil(round(amount_usd * MICRO_USD_PER_USD, 3))


def convert_budget_to_micro_usd(budget_usd: float) -> int | float:
    """Convert a budget to millionths of a dollar and round down; an infinite budget stays infinite."""
    return budget_usd if math.isinf(budget_usd) else math.floor(round(budget_usd * MICRO_USD_PER_USD, 3))


def sum_usd(amounts_usd: Iterable[float]) -> float:
    """Return the sum in dollars of amounts that are each rounded up to a millionth, as the ledger reserves them."""
    return sum(map(convert_to_micro_usd, amounts_usd)) / MICRO_USD_PER_USD


# Records of findings: what a provider does that its contract does not allow.


class FindingLocation(Record, frozen=True, kw_only=True):
    """Where a finding occurred: the provider and operation, and the positions in the traffic and in the contract."""

    provider: str
    """Id of the provider."""
    operation: str | None = None
    """Id of the operation; `None` if the finding is about no single operation."""
    target: str | None = None
    """Id of the target that the request addresses; `None` if it addresses none."""
    traffic_pointer: str | None = None
    """JSON pointer into the request or response, such as "/output/media_url/0"; `None` for the whole of it."""
    contract_file: str | None = None
    """The contract file that states what the traffic violates; `None` if no file states it."""
    contract_line: int | None = None
    """Line in `contract_file` that states what the traffic violates, counted from 1; `None` if it is not known."""
    contract_pointer: str | None = None
    """JSON pointer, in `contract_file`, to what the traffic violates."""


class FindingClip(Record, frozen=True, kw_only=True):
    """An excerpt of the audio in which a violation was found, as MP3."""

    media_type: str
    """Media type of `data`."""
    data: bytes
    """The encoded audio; base64 in JSON."""
    audio_duration_s: float
    """Duration of the whole audio in seconds."""
    start_s: float = 0.0
    """Time in the whole audio at which the excerpt begins, in seconds."""


class Finding(Record, frozen=True, kw_only=True):
    """One violation of a rule."""

    rule: str
    """Id of the violated rule."""
    severity: Severity
    message: str
    """One sentence that states the expected and the observed value."""
    where: FindingLocation
    """Where the violation occurred first."""
    provenance: Provenance
    """Where the traffic with the violation comes from."""
    case_id: str | None = None
    """Id of the planned test case whose traffic has the violation; `None` if the traffic is of no planned case."""
    evidence: str | None = None
    """An excerpt of the traffic that shows the violation, shortened and without secrets."""
    reproduction_command: str | None = None
    """A shell command that sends the request again; keys are read from environment variables."""
    reproduction_test: str | None = None
    """For a finding of fuzzing: a pytest test that sends the request again and uses voicegauge's pytest plugin."""
    satisfied_claim: str | None = None
    """For a disputed finding: the statement of another document to which the traffic conforms."""
    occurrence_count: int = 1
    """Number of times the violation was found. `case_id`, `evidence` and the commands are those of the first time."""
    message_counts: dict[str, int] = {}
    """How often each message occurred, if the messages of the occurrences differ, for example in the wrong value;
    otherwise empty. The messages are in the order in which they were found, and 100 at most."""
    same_cause_messages: dict[str, str] = {}
    """Messages about violations of other rules that have the same cause, by rule id. They are not findings of their
    own."""
    common_cause: str | None = None
    """What the service does wrong in the same way in several operations, such as "status 203": findings of one rule
    with an equal common cause are merged into one. `None` if the finding is identified by the statement of the contract
    that is violated."""
    other_places: tuple[FindingLocation, ...] = ()
    """Further locations of the same violation by the same cause: in other operations, or elsewhere in the traffic and
    the contract."""
    audio_start_s: float | None = None
    """Time in the audio at which the violation is audible, in seconds; `None` if the violation has no particular
    time."""
    clip: FindingClip | None = None
    """The audio of the first occurrence; `None` if the finding is not about audio that can be played, or if the clips
    of other findings fill the space in the report."""

    @property
    def violated_rules(self) -> tuple[str, ...]:
        """Ids of all rules that were violated by the same cause: the finding's own rule first."""
        return (self.rule, *self.same_cause_messages)

    @property
    def fingerprint(self) -> str:
        """An identifier of the finding that is the same in every run: 16 hexadecimal digits.

        The fingerprint is computed from the rule, the provider, the operation, `contract_pointer` and the location in
        the traffic. So it stays the same when lines move, when messages are reworded and when another target of the
        operation is the first to show the violation. All items of a list count as one location.
        """
        return self.compute_fingerprint(self.where)

    @property
    def locations(self) -> tuple[FindingLocation, ...]:
        """All locations of the violation, `where` first."""
        return (self.where, *self.other_places)

    def compute_fingerprint(self, location: FindingLocation) -> str:
        """Return the fingerprint that the finding would have if `location` were its only location."""
        # Which item of a list has the violation changes with every response.
        pointer = "/".join("*" if token.isdecimal() else token for token in (location.traffic_pointer or "").split("/"))
        # Neither the line of the contract nor the message: both change although the service does not.
        parts = [self.rule, location.provider, location.operation, location.contract_pointer, pointer]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
