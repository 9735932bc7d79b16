"""A finding: what a provider does that its contract does not allow."""

from __future__ import annotations

import hashlib
import json

from voicegauge.model.base import Provenance, Record, Severity


class FindingLocation(Record, frozen=True, kw_only=True):
    """Where a finding occurred: the provider and operation, and the positions in the traffic and in the contract."""

    provider: str
    """Id of the provider."""
    operation: str | None = None
    """Id of the operation; `None` if the finding is about no single operation."""
    target: str | None = None
    """Id of the target that the request addresses; `None` if it addresses none."""
    traffic_pointer: str | None = None
    """JSON pointer into the request or response, such as "/output/media_url/0"."""
    contract_file: str | None = None
    """The contract file that states what the traffic violates."""
    contract_line: int | None = None
    """Line in `contract_file` that states what the traffic violates, counted from 1."""
    contract_pointer: str | None = None
    """JSON pointer, in `contract_file`, to what the traffic violates."""


class FindingClip(Record, frozen=True, kw_only=True):
    """An excerpt of the audio in which a violation was found, as MP3."""

    media_type: str
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
    provenance: Provenance
    case_id: str | None = None
    """Id of the planned test case whose traffic has the violation."""
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
        pointer = "/".join("*" if token.isdecimal() else token for token in (location.traffic_pointer or "").split("/"))
        parts = [self.rule, location.provider, location.operation, location.contract_pointer, pointer]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
