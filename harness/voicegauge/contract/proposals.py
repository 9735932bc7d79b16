"""Proposes the overlays that make a provider's own documents a contract: of OpenAPI, and of AsyncAPI.

Messages of WebSockets are recognized by their names and schemas. Facts that a document does not show are marked with
TODO and listed, for a person to complete.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from voicegauge.contract._consistency import (
    remove_contradicting_additional_properties,
    remove_unknown_content_encodings,
    remove_unknown_types,
)
from voicegauge.contract._overlays import (
    TODO,
    TODO_URL,
    apply_overlay,
    build_removal_action,
    check_provider_id,
    choose_unused_name,
    convert_to_identifier,
    derive_name_from_path,
    derive_provider_id,
    escape_json_path_name,
    format_today,
    read_operations,
)
from voicegauge.contract.asyncapi import (
    OPPOSITE_ACTIONS,
    build_document_without_operations,
    embed_asyncapi,
    get_usual_client_action,
    guess_client_action,
    read_asyncapi_document,
    read_messages,
    resolve_object,
)
from voicegauge.contract.document_assembly import check_openapi_version
from voicegauge.contract.document_parts import ASYNCAPI_KEY
from voicegauge.contract.overlay_proposal import OverlayProposal, OverlayWriter, ProposedOperation, guess_text_field
from voicegauge.contract.proposed_parts import (
    CandidateOperation,
    find_speech_field,
    find_speech_operations,
    has_other_purpose,
    list_likely_speech_operations,
    list_operation_names,
)
from voicegauge.contract.schemas import Schemas
from voicegauge.contract.socket_messages import MessageSchema
from voicegauge.errors import ContractError, UsageError
from voicegauge.formats.located_yaml import YAML_LOADER, Document, escape_pointer_token, get_mapping
from voicegauge.formats.locations import read_json_pointer

_TEXT_FIELD_PATTERN = re.compile(r"^(text|transcript|input|sentence)$", re.IGNORECASE)
"""Matches the name of a field that may contain a text to speak, or a transcript."""
_AUDIO_FIELD_PATTERN = re.compile(r"audio(?!_?(format|encoding|rate))|^(data|chunk|pcm)$", re.IGNORECASE)
"""Matches the name of a field that may contain audio."""
_CLIENT_ACTIONS_AND_NAME_PATTERNS = (
    ("keep-alive", re.compile(r"keep ?alive|ping")),
    ("cancel", re.compile(r"cancel|clear|interrupt|abort")),
    ("flush", re.compile(r"flush|finalize|commit|force")),
    ("close", re.compile(r"close|terminat|end of stream|disconnect")),
    ("session", re.compile(r"start|session|init|setup|settings")),
    ("end", re.compile(r"\bend\b|\beos\b|finish|\bdone\b")),
)
"""The action that a client's message without text and audio asks for, by patterns of its name; the first match
counts."""
_SERVER_EVENTS_AND_NAME_PATTERNS = (
    ("error", re.compile(r"error|fail")),
    ("warning", re.compile(r"warning")),
    ("flush-end", re.compile(r"flush")),
    ("cancel-end", re.compile(r"cancel|clear|interrupt")),
    ("timestamps", re.compile(r"timestamp|alignment")),
)
"""The event that a message of the service reports, by patterns of its name; the first match counts."""
_OPENING_MESSAGE_NAME_PATTERN = re.compile(
    r"begin|began|connected|ready|opened|recognition started|session (started|created)"
)
"""Matches the words of a message that says that the connection can be used."""
_CLOSING_MESSAGE_NAME_PATTERN = re.compile(r"\bend(ed)?\b|\bdone\b|final|complet|terminat|closed|metadata|summary")
"""Matches the words of a message that says that something has ended."""


class _Channel(NamedTuple):
    """A channel with the messages of both sides."""

    key: str
    """Key of the channel in `channels`."""
    path: str
    """Address of the channel: the path of its URL."""
    pointer: str
    """JSON pointer of the channel in the document."""
    messages: Mapping[str, Mapping[str, MessageSchema]]
    """The messages of each action, by name."""


def propose_socket_overlay(path: Path, *, provider_id: str = "", reserved_ids: Collection[str] = ()) -> OverlayProposal:
    """Propose an overlay for an AsyncAPI document of version 2 or 3.0. The document is not changed.

    Args:
        path: the file of the document.
        provider_id: id of the provider; by default derived from the first server.
        reserved_ids: ids that other contracts have; a derived id that is one of them gets "my-" in front.

    Raises:
        UsageError: no channel has messages with text or audio of a client.
        ContractError: the file cannot be read or has another version, or a server or a reference cannot be read.
    """
    check_provider_id(provider_id)
    return _SocketOverlayWriter(read_asyncapi_document(path), provider_id, reserved_ids).write()


class _SocketOverlayWriter:
    """Writes the overlay for the WebSockets of one AsyncAPI document, and notes what a person has to complete."""

    def __init__(self, asyncapi: Document, provider_id: str, reserved_ids: Collection[str]) -> None:
        self._asyncapi = asyncapi
        # Embedded as it will be when the contract is loaded, so that what cannot be embedded fails here, with its line.
        self._document = embed_asyncapi(build_document_without_operations(asyncapi), asyncapi)
        self._removed_pointers = [
            pointer.removeprefix(f"/{ASYNCAPI_KEY}") for pointer in remove_unknown_content_encodings(self._document)
        ]
        self._schemas = Schemas(self._document)
        self._provider = provider_id or derive_provider_id(self._document, reserved_ids)
        self._is_version_3 = str(asyncapi.data.get("asyncapi", "")).startswith("3.")
        self._channels = list(self._iterate_channels())
        usual = get_usual_client_action(is_version_3=self._is_version_3)
        self._client_action = self._guess_client_action() or usual
        self._states_client_action = self._client_action != usual
        self._todo: list[str] = []
        self._used_names: set[str] = set()

    def write(self) -> OverlayProposal:
        sockets = [(one, self._propose_socket(one)) for one in self._channels]
        proposed = [(one, socket) for one, socket in sockets if socket is not None]
        if not proposed:
            raise UsageError(
                f"{self._asyncapi.path}: no channel whose client sends text or audio: write x-socket by hand as "
                "docs/realtime.md describes"
            )
        root: dict[str, Any] = {"x-provider": self._propose_provider()}
        if not self._document.data["servers"]:
            root["servers"] = {"main": {"url": TODO_URL, "protocol": "wss"}}
            self._todo.append("the address of the service: servers")
        actions: list[dict[str, Any]] = [{"target": "$", "update": root}]
        actions += [build_removal_action(self._asyncapi, pointer) for pointer in self._removed_pointers]
        self._todo += [f"{one}, which is not a content encoding and is removed" for one in self._removed_pointers]
        actions += [
            {"target": f"$.channels['{escape_json_path_name(one.key)}']", "update": {"x-socket": socket}}
            for one, socket in proposed
        ]
        overlay = {
            "overlay": "1.0.0",
            "info": {"title": f"What {self._asyncapi.path.name} cannot say", "version": "1"},
            "extends": self._asyncapi.path.name,
            "actions": actions,
        }
        self._todo += [
            "formats: codec and sample rate of the audio of each target, and the parameters that choose them",
            "what each message asks for or reports: it is proposed by its name",
            "the handshake: bindings.ws of the channel, if the document has no query and headers",
            "prices, if you want costs: pricing of each target",
        ]
        return OverlayProposal(
            provider=self._provider,
            overlay=yaml.dump(overlay, Dumper=_OverlayDumper, sort_keys=False, allow_unicode=True, width=118),
            operations=tuple(
                ProposedOperation(
                    id=socket["id"],
                    request=f"WebSocket {one.path}",
                    line=self._asyncapi.find_line(f"/channels/{escape_pointer_token(one.key)}"),
                    targets=tuple(socket["targets"]),
                )
                for one, socket in proposed
            ),
            todo=tuple(self._todo),
        )

    def _iterate_channels(self) -> Iterator[_Channel]:
        """Yield the channels; of several with the same address the first, which has the messages of all."""
        seen = set[str]()
        usual = get_usual_client_action(is_version_3=self._is_version_3)
        for key, node in get_mapping(self._document.data[ASYNCAPI_KEY], "channels").items():
            channel, pointer = resolve_object(
                self._schemas, node, f"/{ASYNCAPI_KEY}/channels/{escape_pointer_token(key)}"
            )
            path = str(channel.get("address", key)) if self._is_version_3 else key
            if path in seen:
                continue
            seen.add(path)
            messages = {
                action: read_messages(self._schemas, channel, pointer, action, is_version_3=self._is_version_3)
                for action in (usual, OPPOSITE_ACTIONS[usual])
            }
            yield _Channel(key, path, pointer, messages)

    def _guess_client_action(self) -> str | None:
        names: dict[str, list[str]] = {}
        descriptions: dict[str, list[str]] = {}
        for channel in self._channels:
            for action, messages in channel.messages.items():
                names.setdefault(action, []).extend(messages)
                texts = descriptions.setdefault(action, [])
                for message in messages.values():
                    node = self._read_mapping_at(message.pointer)
                    texts += [str(node[key]) for key in ("title", "summary") if key in node]
                operation = self._read_mapping_at(f"{channel.pointer}/{action}")
                texts += [str(operation[key]) for key in ("summary", "operationId") if key in operation]
        return guess_client_action(descriptions, names)

    def _read_mapping_at(self, pointer: str) -> dict[str, Any]:
        """Return the mapping at `pointer` in the document; an empty one if there is none."""
        found = read_json_pointer(self._document.data, pointer)
        return found if isinstance(found, dict) else {}

    def _propose_provider(self) -> dict[str, Any]:
        info = get_mapping(self._asyncapi.data, "info")
        name = self._asyncapi.path.name
        self._todo.append("the address of the document: sources")
        return {
            "id": self._provider,
            "title": str(info.get("title") or self._provider),
            "key_variable": f"{convert_to_identifier(self._provider).replace('-', '_').upper()}_API_KEY",
            "sources": {name: {"title": str(info.get("title") or name), "date": format_today()}},
        }

    def _propose_socket(self, channel: _Channel) -> dict[str, Any] | None:
        """Return the proposed `x-socket` of a channel; `None` if its client sends neither text nor audio."""
        client = channel.messages[self._client_action]
        server = channel.messages[OPPOSITE_ACTIONS[self._client_action]]
        client_messages = self._propose_client_messages(client)
        if "text" not in client_messages and "audio" not in client_messages:
            return None
        transcribes = "audio" in client_messages
        name = choose_unused_name(derive_name_from_path(channel.path), self._used_names)
        socket: dict[str, Any] = {"id": _to_camel_case(f"{name} over WebSocket")}
        if self._states_client_action:
            socket["client_operation"] = self._client_action
        socket["client_messages"] = client_messages
        socket["server_messages"] = self._propose_server_messages(server, transcribes, "session" in client_messages)
        socket["targets"] = {
            f"{name}-socket": {"title": TODO, "formats": {"main": {"codec": TODO, "sample_rate_hz": TODO}}}
        }
        return socket

    def _propose_client_messages(self, messages: Mapping[str, MessageSchema]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, message in messages.items():
            action = "audio" if message.is_binary else _find_action_or_event(name, _CLIENT_ACTIONS_AND_NAME_PATTERNS)
            value = self._build_shortest_message(message, {})
            for content, field in (("text", _TEXT_FIELD_PATTERN), ("audio", _AUDIO_FIELD_PATTERN)):
                with_content = self._build_shortest_message(message, {f"{{{content}}}": field})
                # A message of these names may repeat a text, but asks for something else.
                if f"{{{content}}}" in with_content.values() and action not in ("cancel", "flush", "close"):
                    action, value = content, with_content
                    break
            # Of several messages that ask for the same, the first one is proposed: one is enough to use the service.
            if action is None or action in found:
                continue
            found[action] = {"message": name, **({"value": value} if value else {})}
            if action == "cancel":
                found[action]["effect"] = TODO
                self._todo.append("what a cancellation does: effect")
        return found

    def _propose_server_messages(
        self, messages: Mapping[str, MessageSchema], transcribes: bool, has_session: bool
    ) -> list[dict[str, Any]]:
        content = {"{transcript}": _TEXT_FIELD_PATTERN} if transcribes else {"{audio}": _AUDIO_FIELD_PATTERN}
        proposed: list[dict[str, Any]] = []
        for name, message in messages.items():
            if message.is_binary:
                proposed.append({"message": name, "event": "audio"})
                continue
            value = self._build_shortest_message(
                message, {**content, "{reason}": re.compile(r"^(reason|message|description)$")}
            )
            placeholder = next(iter(content))
            event = _find_action_or_event(name, _SERVER_EVENTS_AND_NAME_PATTERNS)
            if event is None:
                event = _guess_reported_event(
                    _separate_words(name), transcribes, has_session, placeholder in value.values()
                )
            fixed = {
                f"/{escape_pointer_token(key)}": [one]
                for key, one in value.items()
                if one not in _NON_IDENTIFYING_VALUES
            }
            proposed.append({"message": name, "event": event, "value": value})
            # One value is enough to recognize a message; more would reject the next version of it.
            if fixed:
                proposed[-1]["recognized_by"] = dict(list(fixed.items())[:1])
        if not any(one["event"] == "turn-end" for one in proposed):
            self._todo.append("which message of the service ends a turn: turn-end")
        return proposed

    def _build_shortest_message(
        self, message: MessageSchema, placeholders: Mapping[str, re.Pattern[str]]
    ) -> dict[str, Any]:
        """Return the shortest message that its schema allows, with placeholders for text, audio and reasons."""
        if message.schema_pointer is None:
            return {}
        schema = self._schemas.resolve_reference(self._read_mapping_at(message.schema_pointer))[0]
        required = schema.get("required") if isinstance(schema, dict) else None
        names = required if isinstance(required, list) else []
        value: dict[str, Any] = {}
        for name, node in get_mapping(schema, "properties").items():
            resolved = self._schemas.resolve_reference(node)[0]
            part = resolved if isinstance(resolved, dict) else {}
            fixed = part.get("const")
            if fixed is None and name in names and isinstance(part.get("enum"), list) and part["enum"]:
                fixed = _choose_enum_value(part["enum"], message.name)
            if fixed is not None:
                value[name] = fixed
                continue
            found = next((text for text, pattern in placeholders.items() if pattern.search(name)), None)
            if found is not None and part.get("type") in ("string", ["string", "null"], None):
                value[name] = found
            elif name in names:
                value[name] = _EMPTY_VALUE_BY_JSON_TYPE.get(str(part.get("type")), TODO)
        return value


_EMPTY_VALUE_BY_JSON_TYPE: dict[str, Any] = {
    "string": "",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "array": [],
    "object": {},
}
"""A value for a required field of a message whose value does not matter, by JSON type."""
_NON_IDENTIFYING_VALUES: tuple[Any, ...] = ("{text}", "{audio}", "{transcript}", "{reason}", "", 0, False, [], {})
"""Values in a proposed message that do not identify it: placeholders, and the values of `_EMPTY_VALUE_BY_JSON_TYPE`."""


class _OverlayDumper(yaml.SafeDumper):
    """Writes small mappings in one line, and equal values again instead of references to them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "default_flow_style": None})

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _choose_enum_value(values: Sequence[Any], message_name: str) -> Any:
    """Return the value that is the name of the message, if messages share a list of values; otherwise the first."""
    words = _separate_words(message_name).replace(" ", "")
    named = [one for one in values if isinstance(one, str) and _separate_words(one).replace(" ", "") in words]
    # The longest: "speak" is in the name of "SpeakFlush" too.
    return max(named, key=len, default=values[0])


def _find_action_or_event(name: str, results_and_patterns: Sequence[tuple[str, re.Pattern[str]]]) -> str | None:
    """Return the first action or event whose pattern matches the words of a message's name; `None` if none does."""
    words = _separate_words(name)
    return next((kind for kind, pattern in results_and_patterns if pattern.search(words)), None)


def _guess_reported_event(words: str, transcribes: bool, has_session: bool, carries_audio_or_text: bool) -> str:
    """Return the event that a message of the service probably reports, by the words of its name."""
    if _OPENING_MESSAGE_NAME_PATTERN.search(words):
        return "session" if has_session else "connected"
    if carries_audio_or_text:
        if not transcribes:
            return "audio"
        return "partial" if re.search(r"partial|interim", words) else "turn-end"
    if _CLOSING_MESSAGE_NAME_PATTERN.search(words):
        return "session-end" if transcribes else "turn-end"
    return "other"


def _separate_words(name: str) -> str:
    last = name.rpartition("/")[2]
    return re.sub(r"[^a-z0-9]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", last).lower())


def _to_camel_case(text: str) -> str:
    first, *rest = re.split(r"[^A-Za-z0-9]+", text)
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


# Proposes the overlay that makes a provider's OpenAPI document a contract, for a person to complete.


_MAX_OPERATIONS_SHOWN = 5
"""Maximum number of operations with a text that an error message names."""
_SPEECH_PATH_PATTERN = re.compile(r"speak|speech|tts|synthes", re.IGNORECASE)
"""Paths that certainly produce speech, even if the document describes the response wrongly."""


def propose_overlay(
    document: Document,
    *,
    provider_id: str = "",
    operation_names: Sequence[str] = (),
    reserved_ids: Collection[str] = (),
    is_inferred: bool = False,
) -> OverlayProposal:
    """Propose an overlay for an OpenAPI document.

    Args:
        document: the whole document, from which is removed what no contract may have, such as an unknown type.
        provider_id: id of the provider; by default derived from the first server.
        operation_names: paths or operation ids to propose; by default all whose request has a text and whose response
            has audio.
        reserved_ids: ids that other contracts have; a derived id that is one of them gets "my-" in front.
        is_inferred: whether the document was inferred, so that there is no official one to extend. The proposal is then
            a whole contract: the document with the keys of the overlay.

    Raises:
        UsageError: no such operation was found, or `provider_id` is not an id.
        UnknownNameError: the document does not have one of `operation_names`.
        ContractError: the document has another version of OpenAPI, or is not valid in a part that matters.
    """
    check_provider_id(provider_id)
    check_openapi_version(document)
    removed = {
        **dict.fromkeys(remove_unknown_types(document), "is not a type of JSON"),
        **dict.fromkeys(remove_unknown_content_encodings(document), "is not a content encoding"),
        **dict.fromkeys(
            remove_contradicting_additional_properties(document), "forbids what the rest of its allOf describes"
        ),
    }
    candidates = list(find_speech_operations(document, operation_names))
    found = [c for c in candidates if c.audio or c.job] or [
        c for c in candidates if operation_names or _SPEECH_PATH_PATTERN.search(c.path)
    ]
    if not found:
        with_text = [] if operation_names else _find_operations_with_text(document)
        found = [one for one in with_text if _states_audio(one)]
        if not found:
            raise _build_error_without_operation(document, operation_names, with_text)
    provider_id = provider_id or derive_provider_id(document, reserved_ids)
    proposal = OverlayWriter(document, provider_id, found, removed).write_overlay()
    left_out = _describe_left_out_operations(document, operation_names, found)
    proposal = msgspec.structs.replace(proposal, left_out=left_out)
    return _convert_to_contract(proposal, document) if is_inferred else proposal


def _find_operations_with_text(document: Document) -> list[CandidateOperation]:
    """Return the operations that send what may be a text to speak, whatever their names say; likely ones come first.

    Operations that are not valid OpenAPI, and those whose names say that they do something else, are left out.
    """
    likely = list_likely_speech_operations(document)
    others = [
        (path, method)
        for (path, method), node in read_operations(document.data)
        if method in ("post", "put") and "requestBody" in node and not has_other_purpose(path, node)
    ]
    found: list[CandidateOperation] = []
    for path, method in dict.fromkeys([*likely, *others]):
        with contextlib.suppress(ContractError):
            found += find_speech_operations(document, [f"{method.upper()} {path}"])
    return [
        one
        for one in found
        if find_speech_field(one.request_fields, "text") is not None or guess_text_field(one.request_fields) is not None
    ]


def _states_audio(operation: CandidateOperation) -> bool:
    """Whether an operation has a text to speak, and its response or that of its job audio, by their usual names.

    The result of a job may be a URL of anything, so that only a field with "audio" in its name counts.
    """
    if find_speech_field(operation.request_fields, "text") is None:
        return False
    return operation.audio is not None or (operation.job is not None and operation.job.has_stated_audio)


def _build_error_without_operation(
    document: Document, operation_names: Sequence[str], with_text: Sequence[CandidateOperation]
) -> UsageError:
    """Return the error that no operation fits. It shows some of `with_text`, which may be meant."""
    wanted = f" among {', '.join(operation_names)}" if operation_names else ""
    listed = ", ".join(f"{one.method.upper()} {one.path}" for one in with_text[:_MAX_OPERATIONS_SHOWN])
    hint = f"name one with --operation ({listed}), or " if listed else ""
    return UsageError(
        f"{document.path}: no operation{wanted} with a text in its request and audio or a job in its response; "
        f"{hint}write x-speech by hand as docs/contract.md describes"
    )


def _convert_to_contract(proposal: OverlayProposal, document: Document) -> OverlayProposal:
    """Return the proposal with `document`, to which the overlay is applied, in place of the overlay."""
    data = yaml.load(proposal.overlay, Loader=YAML_LOADER)  # noqa: S506 - a safe loader
    overlay = Document(document.path, data, {}, document.sha256)
    whole = apply_overlay(overlay, document).data
    order = ("openapi", "info", "servers", "security", "x-provider", "paths", "components")
    text = yaml.safe_dump(
        {key: whole[key] for key in order if key in whole}, sort_keys=False, allow_unicode=True, width=120
    )
    comment = [
        f"# Proposed by `voicegauge init` from {document.path.name!r}; everything is inferred.",
        "# docs/contract.md explains every key. Complete, and correct where needed:",
        *(f"# - {item}" for item in proposal.todo),
    ]
    return msgspec.structs.replace(proposal, overlay="\n".join(comment) + f"\n{text}")


def _describe_left_out_operations(
    document: Document, operation_names: Sequence[str], proposed: Sequence[CandidateOperation]
) -> tuple[str, ...]:
    """Return the operations that were named or may produce speech but are not proposed, each with the reason."""
    taken = {(one.path, one.method) for one in proposed} | {(one.job.path, "get") for one in proposed if one.job}
    operations = read_operations(document.data)
    named = [at for at, node in operations if list_operation_names(at, node) & set(operation_names)]
    sent_paths = {path for path, method in taken if method != "get"}
    return tuple(
        f"{method.upper()} {path}: "
        + (
            f"another method of this path sends the text; --operation '{method.upper()} {path}' names this one"
            if method == "get" and path in sent_paths
            else "no text in its request, or neither audio nor a job in its response"
        )
        for path, method in (named if operation_names else list_likely_speech_operations(document))
        if (path, method) not in taken
    )
