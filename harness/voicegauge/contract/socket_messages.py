"""Builds and reads the messages of a WebSocket, as `x-socket` describes them.

The client and the emulator write messages from the templates of a contract, and recognize the messages of the other
side by the same templates. Nothing here raises an error because of what was received.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from voicegauge.contract.extension.sockets import (
    ClientAction,
    ServerEventKind,
    ServerMessage,
    SocketSpec,
)
from voicegauge.contract.schemas import Schemas
from voicegauge.formats.bodies import UnreadableBodyError, is_utf8, read_finite_number, read_json
from voicegauge.formats.located_yaml import split_json_pointer
from voicegauge.formats.locations import MISSING, Location, read_pointer, write_value_at_pointer

# Fills templates, and finds placeholders in them.


def fill_template(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a copy of a template in which placeholders are replaced.

    Args:
        template: plain data, in which a text "{name}" stands for `values["name"]`.
        values: the values by name. A member whose placeholder has no value is left out. Of a text with more than a
            placeholder, the rest is kept; only texts can be inserted into it.
    """
    if isinstance(template, dict):
        filled = {key: fill_template(item, values) for key, item in template.items()}
        return {key: item for key, item in filled.items() if item is not MISSING}
    if isinstance(template, list):
        return [item for part in template if (item := fill_template(part, values)) is not MISSING]
    if not isinstance(template, str) or "{" not in template:
        return template
    if template.startswith("{") and template.endswith("}") and template[1:-1] in PLACEHOLDER_NAMES:
        return values.get(template[1:-1], MISSING)
    for name in PLACEHOLDER_NAMES:
        template = template.replace(f"{{{name}}}", str(values.get(name, "")))
    return template


PLACEHOLDER_NAMES = (
    *("text", "context", "key"),
    *("audio", "words", "starts", "ends", "durations", "flush", "id", "reason", "nonce"),
    *("duration_ms", "characters"),
    *("transcript", "word_items", "word", "turn", "sequence", "start_s", "end_s", "duration_s"),
)
"""The names that a text "{name}" in a template may have."""


def iterate_leaves(template: Any, pointer_tokens: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value of a template that is neither an object nor a list, with the keys that lead to it."""
    if isinstance(template, dict):
        for key, item in template.items():
            yield from iterate_leaves(item, (*pointer_tokens, key))
    elif isinstance(template, list):
        for index, item in enumerate(template):
            yield from iterate_leaves(item, (*pointer_tokens, str(index)))
    else:
        yield pointer_tokens, template


def _split_pointer(pointer: str) -> tuple[str, ...]:
    return tuple(split_json_pointer(pointer))


_TIME_AND_WORD_PLACEHOLDERS = frozenset(("starts", "ends", "durations", "words", "transcript"))
"""The placeholders of a server message that stand for words, or for the times at which they are spoken."""


class _MessagePattern:
    """Recognizes the messages of one template, and reads the values of its placeholders."""

    def __init__(
        self, template: Any, recognized_by: Mapping[str, tuple[Any, ...]], required_placeholders: tuple[str, ...]
    ) -> None:
        self.tokens_by_placeholder = {
            leaf[1:-1]: tokens
            for tokens, leaf in iterate_leaves(template)
            if isinstance(leaf, str) and leaf[:1] == "{" and leaf[1:-1] in PLACEHOLDER_NAMES
        }
        """The keys that lead to each placeholder, by its name."""
        self.has_times_or_words = not _TIME_AND_WORD_PLACEHOLDERS.isdisjoint(self.tokens_by_placeholder)
        """Whether a message says which words are spoken, or when."""
        self._accepted_values_by_path = {_split_pointer(pointer): values for pointer, values in recognized_by.items()}
        self._paths_that_must_exist: list[tuple[str, ...]] = []
        if not self._accepted_values_by_path:
            # Floating-point numbers are not compared: a service may write 1.0 as 1.
            fixed = [
                (tokens, leaf)
                for tokens, leaf in iterate_leaves(template)
                if not (isinstance(leaf, str) and "{" in leaf) and isinstance(leaf, str | bool | int)
            ]
            self._accepted_values_by_path = {tokens: (leaf,) for tokens, leaf in fixed}
            self._paths_that_must_exist = [
                self.tokens_by_placeholder[name] for name in required_placeholders if name in self.tokens_by_placeholder
            ]

    def matches(self, message: Any) -> bool:
        """Whether a message was written from the template."""
        if not isinstance(message, dict):
            return False
        # A loop, not a generator: hundreds of connections receive ten thousand messages a second.
        for tokens, accepted in self._accepted_values_by_path.items():
            value = read_pointer(message, tokens)
            value = None if value is MISSING else value
            for one in accepted:
                if type(value) is type(one) and value == one:  # `true` is not 1
                    break
            else:
                return False
        return all(read_pointer(message, tokens) not in (MISSING, None) for tokens in self._paths_that_must_exist)

    def read_placeholder(self, message: Any, placeholder: str) -> Any:
        """Return the value of a placeholder in a message; `None` if it is missing."""
        tokens = self.tokens_by_placeholder.get(placeholder)
        value = MISSING if tokens is None else read_pointer(message, tokens)
        return None if value is MISSING else value


# What a message means.


class ClientIntent(NamedTuple):
    """What a message of a client asks for."""

    actions: frozenset[ClientAction]
    """Everything that the message asks for; empty if the contract does not describe it."""
    context: str | None = None
    """The context that the message names; `None` if it names none."""
    text: str = ""
    """The text to speak; empty if the message has none."""
    message: Any = None
    """The parsed message; `None` if it is not JSON."""
    key: str | None = None
    """The API key that the message has; `None` if it has none."""
    nonce: Any = None
    """A number of the client that the answer repeats; `None` if the message has none."""
    audio: bytes | None = None
    """The audio to transcribe; `None` if the message has none, or none that can be decoded."""


class ServerEvent(NamedTuple):
    """What a message of a service reports. One message may report more than one event, such as audio with times."""

    kind: ServerEventKind
    """What the message reports."""
    context: str | None = None
    """The context that the message names; `None` if it names none."""
    audio: bytes | None = None
    """Decoded audio; `None` if the event has none, or if it is not valid base64."""
    words: tuple[str, ...] = ()
    """The characters or words that have times."""
    starts_s: tuple[float, ...] = ()
    """When each of `words` starts, in seconds."""
    ends_s: tuple[float, ...] = ()
    """When each of `words` ends, in seconds; empty if the message has no ends."""
    reason: str = ""
    """Text of an error or a warning; empty if the message has none."""
    transcript: str | None = None
    """What was transcribed; `None` if the event has no text."""


class MessageSchema(NamedTuple):
    """A message that the AsyncAPI document names."""

    name: str
    """Name of the message in the document."""
    schema_pointer: str | None
    """JSON pointer to the schema of the payload; `None` if it has none."""
    pointer: str
    """JSON pointer to the message."""
    is_binary: bool
    """Whether the message is bytes, not JSON."""


class MessageViolation(NamedTuple):
    """Why a message does not fit the document."""

    reason: str
    """The predicate of a sentence about the message, such as "is not JSON"."""
    contract_pointer: str
    """JSON pointer, in the contract, to what is violated."""
    value_pointer: str | None = None
    """JSON pointer, in the message, to the wrong value; `None` if the message as a whole is wrong."""


Sender = Literal["client", "server"]
"""The side of a connection that sends a message."""


# Reads and writes the messages of one channel.


@dataclass(frozen=True, eq=False)
class SocketChannel:
    """The messages of one channel: their templates and schemas."""

    spec: SocketSpec
    schemas: Schemas = field(repr=False)
    pointer: str
    """JSON pointer to the channel."""
    client_schemas: Mapping[str, MessageSchema]
    """The messages of the client by name."""
    server_schemas: Mapping[str, MessageSchema]
    """The messages of the service by name."""

    @functools.cached_property
    def _client_patterns(self) -> Mapping[ClientAction, _MessagePattern]:
        return {
            action: _MessagePattern(message.value, message.recognized_by, ("text", "audio"))
            for action, message in self.spec.client_messages.items()
            if message.value is not None
        }

    @functools.cached_property
    def _server_patterns(self) -> tuple[tuple[ServerMessage, _MessagePattern], ...]:
        needed = ("audio", "words", "reason")
        return tuple(
            (message, _MessagePattern(message.value, message.recognized_by, needed))
            for message in self.spec.server_messages
            if message.value is not None
        )

    @functools.cached_property
    def sends_binary_audio(self) -> bool:
        """Whether the service sends audio as binary messages."""
        return any(one.value is None and one.event == "audio" for one in self.spec.server_messages)

    def build_client_message(
        self,
        action: ClientAction,
        *,
        text: str | None = None,
        context: str | None = None,
        settings: Mapping[Location, Any] | None = None,
        key: str | None = None,
        nonce: int | None = None,
        audio: bytes | None = None,
    ) -> str | bytes | None:
        """Return the message with which a client asks for something; `None` if the contract has no such message.

        Each value may be `None` if the message does not have it.

        Args:
            action: what the message asks for.
            text: the text to speak, for a message with text.
            context: the context of the turn.
            settings: values by location in the body, which messages named in `settings_messages` have.
            key: the API key, for a message that sends it.
            nonce: a number that the answer repeats, for a message that has one.
            audio: the audio to transcribe, for a message with audio.
        """
        template = self.spec.client_messages.get(action)
        if template is None:
            return None
        if template.value is None:
            return audio
        encoded = None if audio is None else base64.b64encode(audio).decode()
        values = {"text": text, "context": context, "key": key, "nonce": nonce, "audio": encoded}
        message = fill_template(template.value, {name: value for name, value in values.items() if value is not None})
        # A value that the template itself has stays: the contract states it for every target.
        if action in self.spec.settings_messages:
            for location, value in (settings or {}).items():
                if location.is_in_body and read_pointer(message, location.pointer_tokens) is MISSING:
                    message = write_value_at_pointer(message, location.pointer_tokens, value)
        return json.dumps(message, ensure_ascii=False, separators=(",", ":"))

    def read_client_message(self, message_data: bytes, *, is_binary: bool = False) -> ClientIntent:
        """Return what a message of a client asks for.

        Args:
            message_data: the message.
            is_binary: whether it is binary, which only audio may be.
        """
        if is_binary:
            takes_audio = "audio" in self.spec.client_messages and self.spec.client_messages["audio"].value is None
            return ClientIntent(frozenset(["audio"]), audio=message_data) if takes_audio else ClientIntent(frozenset())
        message = read_message(message_data)
        actions: set[ClientAction] = set()
        text, context = "", None
        key, nonce, audio = None, None, None
        for action, pattern in self._client_patterns.items():
            if not pattern.matches(message):
                continue
            actions.add(action)
            found, named = pattern.read_placeholder(message, "text"), pattern.read_placeholder(message, "context")
            text = found if isinstance(found, str) and action == "text" else text
            context = named if isinstance(named, str) else context
            sent_key, sent_nonce = pattern.read_placeholder(message, "key"), pattern.read_placeholder(message, "nonce")
            key = sent_key if isinstance(sent_key, str) else key
            nonce = sent_nonce if sent_nonce is not None else nonce
            audio = _decode_base64(pattern.read_placeholder(message, "audio")) if action == "audio" else audio
        if "text" in actions and not text.strip():
            actions.discard("text")  # such as the blank that opens a context, or the empty text that ends a turn
            text = ""
        return ClientIntent(frozenset(actions), context, text, message, key, nonce, audio)

    def build_server_message(self, kind: ServerEventKind, **values: Any) -> str | None:
        """Return the message with which a service reports an event; `None` if the contract has no such message.

        Args:
            kind: the kind of the event.
            values: values of placeholders by name. Audio is bytes. Times are in seconds.
        """
        template = next((one for one in self.spec.server_messages if one.event == kind and one.value), None)
        if template is None:
            return None
        return build_message_from_template(template, values)

    def read_server_message(self, message_data: bytes, *, is_binary: bool) -> tuple[ServerEvent, ...]:
        """Return the events that a message of a service reports; empty if the contract does not describe it."""
        if is_binary:
            return (ServerEvent("audio", audio=message_data),) if self.sends_binary_audio else ()
        message = read_message(message_data)
        return tuple(
            _read_event(template, pattern, message)
            for template, pattern in self._server_patterns
            if pattern.matches(message)
        )

    def iterate_violations(self, sender: Sender, message_data: bytes, *, is_binary: bool) -> Iterator[MessageViolation]:
        """Yield why a message fits none of the documented messages of its sender; nothing if it fits one."""
        schemas = self.client_schemas if sender == "client" else self.server_schemas
        if is_binary:
            if not any(schema.is_binary for schema in schemas.values()):
                yield MessageViolation("is binary, but no binary message is documented", self.pointer)
            return
        message = read_message(message_data)
        if message is MISSING:
            reason = "is not JSON" if is_utf8(message_data) else "is a text frame that is not valid UTF-8"
            yield MessageViolation(reason, self.pointer)
            return
        textual = [schema for schema in schemas.values() if not schema.is_binary]
        if any(one.schema_pointer is None or self.schemas.is_valid(one.schema_pointer, message) for one in textual):
            if sender == "server" and self._has_unreadable_audio(message):
                yield MessageViolation("has audio that is not base64", self.pointer)
            return
        closest = self._find_closest_schema(sender, message, textual)
        if closest is None:
            names = ", ".join(schema.name for schema in textual) or "none"
            yield MessageViolation(f"fits no documented message ({names})", self.pointer)
            return
        assert closest.schema_pointer is not None
        for violation in self.schemas.iterate_violations(closest.schema_pointer, message):
            where = f" at {violation.value_pointer}" if violation.value_pointer else ""
            message_text = f"({closest.name}){where}: {violation.message}"
            yield MessageViolation(message_text, violation.keyword_pointer, violation.value_pointer)

    def find_server_messages(self, message_data: bytes, *, is_binary: bool) -> frozenset[str]:
        """Return the names of the documented messages of the service that a message fits."""
        message = None if is_binary else read_message(message_data)
        return frozenset(
            schema.name
            for schema in self.server_schemas.values()
            if schema.is_binary == is_binary
            and message is not MISSING
            and (is_binary or schema.schema_pointer is None or self.schemas.is_valid(schema.schema_pointer, message))
        )

    def find_server_message_name(self, message_data: bytes, *, is_binary: bool) -> str | None:
        """Return the name of the documented message that a message of the service is meant to be.

        The name is that of the template which recognizes the message, even if the message has another form than
        documented, or else that of a schema that it fits. `None` if neither exists. Where the template recognizes
        several kinds of messages, the kind follows: "OtherServerEvent rate_limits.updated".
        """
        message = None if is_binary else read_message(message_data)
        for template, pattern in () if is_binary else self._server_patterns:
            if pattern.matches(message):
                several = [pointer for pointer, accepted in template.recognized_by.items() if len(accepted) > 1]
                kinds = [read_pointer(message, _split_pointer(pointer)) for pointer in several]
                return " ".join((template.message, *(kind for kind in kinds if isinstance(kind, str))))
        return min(self.find_server_messages(message_data, is_binary=is_binary), default=None)

    def _has_unreadable_audio(self, message: Any) -> bool:
        """Whether a message reports audio that cannot be decoded from its text."""
        for template, pattern in self._server_patterns:
            if template.event == "audio" and pattern.matches(message):
                audio = pattern.read_placeholder(message, "audio")
                return isinstance(audio, str) and _decode_base64(audio) is None
        return False

    def _find_closest_schema(self, sender: Sender, message: Any, schemas: list[MessageSchema]) -> MessageSchema | None:
        """Return the schema that a message is meant to fit; `None` if that is unclear.

        It is the one of the template that recognizes the message, else the only one in `schemas`.
        """
        named: list[str] = []
        if sender == "client":
            named = [
                self.spec.client_messages[action].message
                for action, pattern in self._client_patterns.items()
                if pattern.matches(message)
            ]
        else:
            named = [one.message for one, pattern in self._server_patterns if pattern.matches(message)]
        by_name = {schema.name: schema for schema in schemas}
        if named and named[0] in by_name:
            return by_name[named[0]]
        return schemas[0] if len(schemas) == 1 else None


def read_message(message_data: bytes) -> Any:
    """Return a text message as JSON; `MISSING` if it is not JSON, or larger than what is accepted."""
    try:
        return read_json(message_data)
    except UnreadableBodyError:
        return MISSING


def build_message_from_template(template: ServerMessage, values: Mapping[str, Any]) -> str:
    """Return a message of a service from its template. Audio is bytes, times are in seconds."""
    filled = dict(values)
    if isinstance(filled.get("audio"), bytes):
        filled["audio"] = base64.b64encode(filled["audio"]).decode()
    if "word_items" in filled and template.word_item is not None:
        filled["word_items"] = [fill_template(template.word_item, item) for item in filled["word_items"]]
    for name in ("starts", "ends", "durations"):
        if name in filled:
            unit_s = template.time_unit_s
            # Seconds to the millisecond; smaller units as whole numbers, as services write them.
            filled[name] = [round(time_s, 3) if unit_s == 1 else round(time_s / unit_s) for time_s in filled[name]]
    return json.dumps(fill_template(template.value, filled), separators=(",", ":"), ensure_ascii=False)


def _read_event(template: ServerMessage, pattern: _MessagePattern, message: Any) -> ServerEvent:
    context, audio, reason = (pattern.read_placeholder(message, name) for name in ("context", "audio", "reason"))
    event = ServerEvent(
        template.event,
        context if isinstance(context, str) else None,
        _decode_base64(audio),
        reason=reason if isinstance(reason, str) else "",
    )
    return event._replace(**_read_times_and_words(template, pattern, message)) if pattern.has_times_or_words else event


def _read_times_and_words(template: ServerMessage, pattern: _MessagePattern, message: Any) -> dict[str, Any]:
    """Return the fields of an event that say which words are spoken, and when."""
    starts = _read_times(pattern.read_placeholder(message, "starts"), template.time_unit_s)
    ends = _read_times(pattern.read_placeholder(message, "ends"), template.time_unit_s)
    durations = _read_times(pattern.read_placeholder(message, "durations"), template.time_unit_s)
    words, transcript = pattern.read_placeholder(message, "words"), pattern.read_placeholder(message, "transcript")
    return {
        "words": tuple(word for word in words if isinstance(word, str)) if isinstance(words, list) else (),
        "starts_s": starts,
        "ends_s": ends or tuple(start + one for start, one in zip(starts, durations, strict=False)),
        "transcript": transcript if isinstance(transcript, str) else None,
    }


def _decode_base64(text: Any) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _read_times(values: Any, unit_s: float) -> tuple[float, ...]:
    """Return the numbers in a list of times, in seconds; what is not a number that a float can hold is left out."""
    times = map(read_finite_number, values) if isinstance(values, list) else ()
    return tuple(time * unit_s for time in times if time is not None)
