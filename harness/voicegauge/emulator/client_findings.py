"""Judges the clients of emulated WebSockets: what they do that a service would reject, charge for, or never speak.

A client library that a service tolerates today may leave contexts open, so that a limit is reached under load, or send
text that is never spoken. No response shows that, so the emulator watches the messages.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Literal

from voicegauge.contract.operation import Operation
from voicegauge.contract.socket_messages import ClientIntent
from voicegauge.model.base import Record
from voicegauge.printable_text import format_count

ClientRuleId = Literal[
    "client-handshake-invalid",
    "client-message-invalid",
    "client-message-after-close",
    "client-context-unknown",
    "client-context-reused",
    "client-context-open",
    "client-text-lost",
    "client-too-many-contexts",
    "client-too-many-flushes",
    "client-idle",
]


class ClientRule(Record, frozen=True, kw_only=True):
    """What a client of a WebSocket must do."""

    description: str
    """One or two sentences that state what the rule requires."""
    consequence: str
    """What goes wrong for the client if it breaks the rule, as a sentence."""


CLIENT_RULES: Mapping[str, ClientRule] = {
    "client-handshake-invalid": ClientRule(
        description="The handshake has a documented path, a valid key, each required parameter, and documented values.",
        consequence="The service may reject the connection, so that nothing is spoken.",
    ),
    "client-message-invalid": ClientRule(
        description="Each message is one that the document describes, and the one with the key comes first.",
        consequence="The service may answer with an error, close the connection, or ignore the message and its text.",
    ),
    "client-message-after-close": ClientRule(
        description="Nothing is sent after the message that closes the connection.",
        consequence="The service no longer reads: a text that is sent then is never spoken, and nothing says so.",
    ),
    "client-context-unknown": ClientRule(
        description="Only a context that has begun is flushed, ended or cancelled.",
        consequence="The context that was meant goes on: its speech is not cut off, and is charged.",
    ),
    "client-context-reused": ClientRule(
        description="No text is sent, and no flush, for a context that the client has ended or cancelled.",
        consequence="The service may drop the text, answer with an error, or begin a context that nobody ends.",
    ),
    "client-context-open": ClientRule(
        description="Each context is ended or cancelled before the connection ends. Open ones count in limits.",
        consequence="Under load, the documented number of contexts is reached, and further turns are rejected.",
    ),
    "client-text-lost": ClientRule(
        description="Each text is flushed or ended before its context or connection ends. Otherwise it is lost.",
        consequence="The last words are missing, and no response shows it.",
    ),
    "client-too-many-contexts": ClientRule(
        description="No more contexts are open at once than the document allows.",
        consequence="The service may reject a turn or close the connection, which ends the other turns too.",
    ),
    "client-too-many-flushes": ClientRule(
        description="Flushes are no more frequent than the document allows.",
        consequence="The service may ignore flushes, so that speech starts late, or close the connection.",
    ),
    "client-idle": ClientRule(
        description="Something is sent before the documented time without messages ends.",
        consequence="The service closes the connection, and the next turn waits for a new handshake or fails.",
    ),
}
"""The rules about clients by id."""
MAX_CLIENT_FINDINGS = 1000
"""Maximum number of findings that are kept; later findings are dropped."""
_MAX_WATCHED_CONTEXTS = 1000
"""Maximum number of contexts of a connection that are watched."""
_MAX_QUOTED_PATH_CHARACTERS = 200
"""Maximum number of characters of an unknown path that are kept."""
_MAX_CONTEXTS_SHOWN = 3
"""Number of contexts of a connection that a rule reports one by one; the others are counted in one finding."""
_MAX_INVALID_MESSAGES_SHOWN = 5
"""Number of different mistakes in messages of a connection that are reported one by one; the others are counted."""


class ClientFinding(Record, frozen=True, kw_only=True):
    """Something that a client did wrong on one connection."""

    rule: ClientRuleId
    """Id of the rule that the client broke, a key of `CLIENT_RULES`."""
    provider: str
    """Id of the provider, or what the client took for one."""
    operation: str
    """Id of the channel; the path of a handshake that has none."""
    connection_number: int
    """Number of the connection since the start of the emulator, from 1."""
    message: str
    """What the client did, in one line."""
    context: str | None = None
    """The context that the finding is about; `None` if it is about the connection."""

    def describe(self) -> str:
        """Return the finding in one line."""
        context = "" if self.context is None else f", context {self.context}"
        where = f"{self.provider} {self.operation}, connection {self.connection_number}{context}"
        return f"{self.rule}: {where}: {self.message}"


class ClientFindings(Record, frozen=True, kw_only=True):
    """The response of the control route `client-findings`."""

    findings: tuple[ClientFinding, ...]
    """The findings in the order in which they occurred, at most `MAX_CLIENT_FINDINGS`."""
    open_connection_count: int
    """Number of connections that are not judged completely, because they are open."""
    working_connection_count: int = 0
    """Number of connections on which more will be sent without another message of the client: speech that is being
    synthesized, or audio that is being transcribed."""


class ClientFindingLog:
    """The findings about all clients of an emulator."""

    def __init__(self, listener: Callable[[ClientFinding], None] | None = None) -> None:
        """Create a log without findings. `listener`, unless it is `None`, is called with each new finding."""
        self._listener = listener
        self._findings: list[ClientFinding] = []
        self.connection_count = 0
        """Number of connections so far."""
        self.open_connection_count = 0
        self.work_checks: set[Callable[[], bool]] = set()
        """Functions, one for each open connection, that return whether more will be sent without another message of the
        client."""

    def add(self, finding: ClientFinding) -> None:
        """Add a finding, unless `MAX_CLIENT_FINDINGS` are kept already."""
        if len(self._findings) < MAX_CLIENT_FINDINGS:
            self._findings.append(finding)
            if self._listener is not None:
                self._listener(finding)

    def add_rejected_handshake(self, provider: str, operation: str, reason: str) -> None:
        """Add a finding about a connection whose handshake was rejected.

        Args:
            provider: id of the provider, or what the client took for one.
            operation: id of the channel; the path, if no channel has it.
            reason: what the client did wrong.
        """
        self.connection_count += 1
        self.add(
            ClientFinding(
                rule="client-handshake-invalid",
                provider=provider,
                operation=operation[:_MAX_QUOTED_PATH_CHARACTERS],
                connection_number=self.connection_count,
                message=reason,
            )
        )

    def clear(self) -> None:
        """Remove all findings; connections keep their numbers."""
        self._findings.clear()

    def build_response(self) -> ClientFindings:
        """Return the findings so far, and how many connections are open or still at work."""
        return ClientFindings(
            findings=tuple(self._findings),
            open_connection_count=self.open_connection_count,
            working_connection_count=sum(has_work() for has_work in self.work_checks),
        )


_ContextState = Literal["open", "ended", "cancelled", "ended by the service"]
"""What has become of a context; `ended` and `cancelled` are the client's doing."""


class ClientMonitor:
    """Watches what a client sends on one connection."""

    def __init__(self, operation: Operation, log: ClientFindingLog) -> None:
        """Create a monitor of a new connection to the channel `operation`."""
        assert operation.socket is not None
        self._operation, self._spec, self._log = operation, operation.socket.spec, log
        self._context_states: dict[str | None, _ContextState] = {}
        self._has_unspoken_text = False
        self._has_begun = self._has_closed = False
        self._reported_rules_and_contexts: deque[tuple[ClientRuleId, str | None]] = deque(maxlen=_MAX_WATCHED_CONTEXTS)
        self._invalid_messages: deque[str] = deque(maxlen=_MAX_WATCHED_CONTEXTS)
        self._invalid_message_count = 0
        self._context_counts: Counter[ClientRuleId] = Counter()
        log.connection_count += 1
        log.open_connection_count += 1
        self._connection_number = log.connection_count

    def report(self, rule: ClientRuleId, message: str, context: str | None = None) -> None:
        """Add a finding, unless the connection has one with this rule and context.

        Of several contexts, only the first `_MAX_CONTEXTS_SHOWN` get findings by the same rule. Invalid messages have
        a finding for each different mistake, whatever their context, up to `_MAX_INVALID_MESSAGES_SHOWN`. `None` as
        `context` stands for the connection.
        """
        if rule == "client-message-invalid":
            self._report_invalid_message(message, context)
            return
        if (rule, context) in self._reported_rules_and_contexts:
            return
        self._reported_rules_and_contexts.append((rule, context))
        if context is not None:
            self._context_counts[rule] += 1
            if self._context_counts[rule] > _MAX_CONTEXTS_SHOWN:
                return
        self._add_finding(rule, message, context)

    def _report_invalid_message(self, message: str, context: str | None) -> None:
        if message in self._invalid_messages:
            return
        self._invalid_messages.append(message)
        self._invalid_message_count += 1
        if self._invalid_message_count <= _MAX_INVALID_MESSAGES_SHOWN:
            self._add_finding("client-message-invalid", message, context)

    def _add_finding(self, rule: ClientRuleId, message: str, context: str | None = None) -> None:
        self._log.add(
            ClientFinding(
                rule=rule,
                provider=self._operation.contract.id,
                operation=self._operation.id,
                connection_number=self._connection_number,
                message=message,
                context=context,
            )
        )

    def judge_message(self, intent: ClientIntent) -> None:
        """Judge a valid message, before it is answered."""
        if self._spec.sends_key_in_message:
            self._judge_key_message(intent)
        if self._has_closed:
            self.report("client-message-after-close", "a message follows the one that closes the connection")
        elif "close" in intent.actions:
            self._has_closed = True
        elif self._spec.has_contexts:
            self._judge_use_of_context(intent)
        else:
            self._judge_text(intent)

    def note_end_by_service(self, context: str | None, unspoken_text: str = "") -> None:
        """Note that the service has ended a context, such as one that has expired.

        Args:
            context: the context that has ended; `None` if messages do not name contexts.
            unspoken_text: text of the context that was not spoken, because it waited for more.
        """
        if self._context_states.get(context) == "open":
            self._context_states[context] = "ended by the service"
            if unspoken_text.strip():
                reason = "the context ended before its last text was flushed or ended, so it is not spoken"
                self.report("client-text-lost", reason, context)

    def judge_end_of_connection(self, *, is_closed_by_client: bool) -> None:
        """Judge the contexts and texts that are unfinished when the connection has ended.

        Args:
            is_closed_by_client: whether the client ended the connection. Otherwise, the client could not finish its
                contexts.
        """
        self._log.open_connection_count -= 1
        if not self._has_closed and is_closed_by_client:
            for context, state in self._context_states.items():
                if state == "open":
                    self.report("client-context-open", "the context was neither ended nor cancelled", context)
            if self._has_unspoken_text:
                self.report("client-text-lost", "the last text was neither flushed nor ended, so it is not spoken")
        for rule, count in self._context_counts.items():
            if count > _MAX_CONTEXTS_SHOWN:
                self._add_finding(rule, f"the same in {format_count(count - _MAX_CONTEXTS_SHOWN, 'more context')}")
        more = self._invalid_message_count - _MAX_INVALID_MESSAGES_SHOWN
        if more > 0:
            self._add_finding("client-message-invalid", f"{format_count(more, 'more different mistake')} in messages")

    def _judge_key_message(self, intent: ClientIntent) -> None:
        """Judge whether the message with the key is the first one, and no other."""
        if self._has_begun and "session" in intent.actions:
            self.report("client-message-invalid", "the message that begins the session is sent again")
        elif not self._has_begun and "session" not in intent.actions:
            self.report("client-message-invalid", "the first message is not the one that begins the session")
        self._has_begun = True

    def _judge_use_of_context(self, intent: ClientIntent) -> None:
        context, actions = intent.context, intent.actions
        state = self._context_states.get(context)
        # A message that ends a context may have an empty text, and does not begin one with it.
        begins = bool(actions & {"start", "text"}) and not (state is None and not intent.text and "end" in actions)
        is_over = state in ("ended", "cancelled")
        if is_over and (intent.text.strip() or "flush" in actions):
            sent = "text" if intent.text.strip() else "a flush"
            self.report("client-context-reused", f"{sent} after the client has {state} the context", context)
        elif state is None and begins:
            if len(self._context_states) < _MAX_WATCHED_CONTEXTS:
                self._context_states[context] = state = "open"
        elif state is None and actions & {"flush", "end", "cancel"}:
            self.report("client-context-unknown", f"{' and '.join(sorted(actions))} of a context without text", context)
        if state == "open" and "cancel" in actions:
            self._context_states[context] = "cancelled"
        elif state == "open" and "end" in actions:
            self._context_states[context] = "ended"

    def _judge_text(self, intent: ClientIntent) -> None:
        state = self._context_states.get(None)
        if self._spec.turn.is_only_one and state == "ended" and intent.text.strip():
            self.report("client-context-reused", "text after the client has ended the only turn of the connection")
            return
        if intent.text.strip():
            self._has_unspoken_text = True
        if intent.actions & {"flush", "end", "cancel"}:
            self._has_unspoken_text = False
        if "end" in intent.actions:
            self._context_states[None] = "ended"
