"""Drift of WebSockets: between two AsyncAPI documents of any version, and between a contract and recorded messages."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from voicegauge.contract.contract import Contract, SocketTarget
from voicegauge.contract.loading import Catalogue
from voicegauge.drift.document_comparison import compare_inputs
from voicegauge.drift.drift_report import DriftReport
from voicegauge.errors import ContractError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response, SocketClose, SocketMessage, SocketMessageLog
from voicegauge.recording.har_files import save_har
from voicegauge.recording.masking import INVALID_API_KEY
from voicegauge.recording.redaction import RedactionSettings

from ..builders.documents import edited
from .documents import Drift
from .operation_edits import OperationEdit
from .socket_edits import BASE, SOCKET_EDITS


@pytest.mark.parametrize(
    ("edit", "undone"),
    SOCKET_EDITS,
    ids=lambda value: "+".join(value.rules) if isinstance(value, OperationEdit) else "",
)
def test_a_change_of_a_websocket_has_its_rule(drift: Drift, edit: OperationEdit, undone: bool) -> None:
    old, new = BASE, edited(BASE, *edit.edits)
    report = drift(new, old) if undone else drift(old, new)
    assert {found.rule: found.level.value for found in report.changes} == edit.rules
    assert {found.operation for found in report.changes} == {edit.where}


def build_version_3() -> dict[str, Any]:
    """`BASE` in the words of version 3.0."""
    base = copy.deepcopy(BASE)
    old = base["channels"]["/speak"]
    listed = {"receive": old["publish"]["message"]["oneOf"], "send": old["subscribe"]["message"]["oneOf"]}
    messages = {one["name"]: {"payload": one["payload"]} for side in listed.values() for one in side}
    sound = base["channels"]["/listen"]["publish"]["message"]["payload"]
    return {
        "asyncapi": "3.0.0",
        "info": base["info"],
        "servers": {"main": {"host": "api.acme.test", "protocol": "wss"}},
        "channels": {
            "speech": {"address": "/speak", "messages": messages, "bindings": old["bindings"]},
            "recognition": {"address": "/listen", "messages": {"Sound": {"payload": sound}}},
        },
        "operations": {
            **{
                action: {
                    "action": action,
                    "channel": {"$ref": "#/channels/speech"},
                    "messages": [{"$ref": f"#/channels/speech/messages/{one['name']}"} for one in side],
                }
                for action, side in listed.items()
            },
            "hear": {"action": "receive", "channel": {"$ref": "#/channels/recognition"}},
        },
    }


def test_a_document_may_move_to_another_version(drift: Drift) -> None:
    assert drift(BASE, build_version_3()).changes == ()
    changed = build_version_3()
    del changed["channels"]["speech"]["messages"]["Done"]["payload"]["properties"]["done"]
    (change,) = drift(BASE, changed).changes
    assert (change.location, change.level.value) == ("server message Done/done", "breaking")


def reverse_version_2(*, client_summary: str = "", server_summary: str = "", names: str = "{side}-{name}") -> Any:
    """`BASE` from the other point of view: what clients send is `subscribe`."""
    base = copy.deepcopy(BASE)
    for channel in base["channels"].values():
        sides = {"client": channel.pop("publish", None), "server": channel.pop("subscribe", None)}
        for side, operation in sides.items():
            if operation is not None:
                action, summary = ("subscribe", client_summary) if side == "client" else ("publish", server_summary)
                channel[action] = {**operation, **({"summary": summary} if summary else {})}
                for message in operation["message"].get("oneOf", [operation["message"]]):
                    message["name"] = names.format(side=side, name=message["name"])
    return base


def build_client_version_3(error_name: str = "Error") -> dict[str, Any]:
    """A 3.0 document of a client: it sends what clients send, and has one channel of the same address for each side."""

    def build_channel(**payloads: Any) -> dict[str, Any]:
        return {"address": "/", "messages": {name: {"payload": payload} for name, payload in payloads.items()}}

    start = {"type": "object", "properties": {"rate": {"type": "integer"}}, "required": ["rate"]}
    text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return {
        "asyncapi": "3.0.0",
        "info": BASE["info"],
        "channels": {
            "outgoing": build_channel(Start=start, Stop={}),
            "incoming": build_channel(**{"Transcript": text, error_name: copy.deepcopy(text)}),
        },
        "operations": {
            "outgoing": {"action": "send", "channel": {"$ref": "#/channels/outgoing"}},
            "incoming": {"action": "receive", "channel": {"$ref": "#/channels/incoming"}},
        },
    }


@pytest.mark.parametrize(
    "old",
    [
        reverse_version_2(),
        reverse_version_2(client_summary="Client messages", server_summary="Server messages", names="{name}"),
        reverse_version_2(server_summary="What the server sends", names="{name}"),
    ],
)
def test_a_document_from_the_other_point_of_view_is_read_by_its_words(drift: Drift, old: dict[str, Any]) -> None:
    new = copy.deepcopy(old)
    operations = new["channels"]["/speak"]
    del operations["subscribe"]["message"]["oneOf"][0]["payload"]["properties"]["speed"]
    operations["publish"]["message"]["oneOf"][0]["payload"]["required"] = []
    assert {one.rule: one.level.value for one in drift(old, new).changes} == {
        "request-property-removed": "possibly-breaking",
        "response-property-became-optional": "breaking",
    }


def test_errors_and_warnings_are_messages_of_the_server_and_channels_of_one_address_are_one(drift: Drift) -> None:
    old, new = build_client_version_3(), build_client_version_3()
    new["channels"]["outgoing"]["messages"]["Start"]["payload"]["properties"]["name"] = {"type": "string"}
    new["channels"]["outgoing"]["messages"]["Start"]["payload"]["required"] = ["rate", "name"]
    del new["channels"]["incoming"]["messages"]["Transcript"]["payload"]["properties"]["text"]
    found = {(one.rule, one.location.split("/")[0]) for one in drift(old, new).changes}
    assert ("new-required-request-property", "client message Start") in found
    assert {place for _, place in found} == {"client message Start", "server message Transcript"}


def test_a_document_without_such_words_is_read_as_it_agrees_with_the_other_one(drift: Drift) -> None:
    known = copy.deepcopy(BASE)
    for path, channel in known["channels"].items():
        channel["x-socket"] = {"id": path, "client_operation": "publish"}
    silent = reverse_version_2(names="{name}")
    assert drift(known, silent).changes == ()
    assert drift(silent, known).changes == ()
    unknown = build_client_version_3(error_name="Problem")
    assert drift(unknown, unknown).changes == ()


def test_what_a_contract_states_counts_more_than_words(drift: Drift) -> None:
    stated = reverse_version_2(client_summary="Messages from the server")
    for path, channel in stated["channels"].items():
        channel["x-socket"] = {"id": path, "client_operation": "subscribe"}
    changed = copy.deepcopy(stated)
    del changed["channels"]["/speak"]["publish"]["message"]["oneOf"][0]["payload"]["properties"]["done"]
    (change,) = drift(stated, changed).changes
    assert change.location == "server message server-Done/done"


def test_a_message_names_its_lines_in_both_files(drift: Drift) -> None:
    (change,) = drift(BASE, edited(BASE, *SOCKET_EDITS[-1][0].edits)).changes
    assert change.location == "server message Done/done"
    for position in (change.old_position, change.new_position):
        assert position is not None
        assert position.line
        assert position.pointer is not None
        assert position.pointer.startswith("/x-asyncapi/channels/~1speak/subscribe")


@pytest.mark.slow
def test_bundled_contracts_do_not_differ_from_themselves(voicegauge_catalogue: Catalogue) -> None:
    for provider in ("cartesia", "deepgram", "elevenlabs", "lmnt", "murf", "openai"):
        assert compare_inputs(provider, provider).changes == ()
    path = voicegauge_catalogue.find_provider("cartesia").document.path
    assert {one.rule for one in compare_inputs(str(path), str(path.with_name("asyncapi.yaml"))).changes} >= {
        "api-path-removed-without-deprecation"
    }


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("channels", 17),
        ("channels", [1]),
        ("operations", "x"),
        ("channels", {"/speak": None}),
        ("channels", {"/x": []}),
        ("channels", {"/x": {"publish": {"message": {"oneOf": {"a": [1]}, "payload": 3}}}}),
        ("channels", {"/x": {"x-socket": 3, "bindings": {"ws": [1]}}}),
    ],
)
def test_documents_of_strangers_give_no_traceback(drift: Drift, part: str, value: Any) -> None:
    with contextlib.suppress(ContractError):  # a reference that leads nowhere
        assert isinstance(drift({**BASE, part: value}, {**build_version_3(), part: value}), DriftReport)


def test_recorded_messages_are_compared_with_the_contract(voicegauge_catalogue: Catalogue, tmp_path: Path) -> None:
    target = voicegauge_catalogue.select_targets(["cartesia/sonic-3.5-socket"])[0]
    assert isinstance(target, SocketTarget)
    done = {"type": "done", "context_id": "c1", "done": True, "status_code": 200}
    messages = (
        SocketMessage(sender="client", at_ms=1, data=b'{"context_id": "c1", "cancel": true}'),
        SocketMessage(sender="server", at_ms=2, data=json.dumps(done).encode()),
        SocketMessage(sender="server", at_ms=3, data=json.dumps({**done, "context_id": 7}).encode()),
        SocketMessage(sender="server", at_ms=4, data=json.dumps({**done, "context_id": 8}).encode()),
    )
    exchange = Exchange(
        provider="cartesia",
        operation=target.operation.id,
        request=Request(method="GET", url="https://api.cartesia.ai/tts/websocket"),
        response=Response(status=101),
        socket=SocketMessageLog(messages=messages),
    )
    unknown = msgspec.structs.replace(exchange, operation="other")
    file = tmp_path / "one.har"
    save_har(file, [exchange, unknown], provenance=Provenance.RECORDED, contract=target.contract)
    changes = [one for one in compare_inputs("cartesia", str(file)).changes if one.rule.startswith("observed-")]
    assert [(one.rule, one.operation, one.location) for one in changes] == [
        ("observed-message-undocumented", "speakOverWebSocket", "server message/context_id"),
        ("observed-operation-undocumented", "other", "request"),
    ]
    assert changes[0].new_position is not None
    assert changes[0].new_position.pointer == "/log/entries/0/_webSocketMessages/2"
    assert compare_inputs(str(file), str(file)).changes == ()


CHUNK = {"type": "chunk", "context_id": "c1", "data": "AAAA", "done": False, "status_code": 206, "step_time": 9.5}
TIMES = {
    "type": "timestamps",
    "context_id": "c1",
    "done": False,
    "status_code": 206,
    "word_timestamps": {"words": ["Hi"], "start": [0.1], "end": [0.4]},
}
DONE_MESSAGE = {"type": "done", "context_id": "c1", "done": True, "status_code": 200}


def build_connection(contract: Contract, file: Path, messages: Sequence[Any], close_code: int = 1000) -> Exchange:
    """Return one connection, with an id for its context that differs from those of connections of other files."""
    sent = [
        SocketMessage(
            sender="server",
            at_ms=float(index),
            data=one if isinstance(one, bytes) else json.dumps(one).replace("c1", file.stem).encode(),
            is_binary=isinstance(one, bytes),
        )
        for index, one in enumerate(messages)
    ]
    return Exchange(
        provider=contract.id,
        operation=next(iter(contract.socket_operations)),
        request=Request(method="GET", url="https://api.cartesia.ai/tts/websocket"),
        response=Response(status=101),
        socket=SocketMessageLog(
            messages=tuple(sent), close=SocketClose(closed_by="server", at_ms=99.0, code=close_code)
        ),
    )


def save_connection(contract: Contract, file: Path, messages: Sequence[Any], close_code: int = 1000) -> str:
    """Save a recording of one connection."""
    exchange = build_connection(contract, file, messages, close_code)
    save_har(file, [exchange], provenance=Provenance.RECORDED, contract=contract)
    return str(file)


@pytest.mark.parametrize(
    ("messages", "close_code", "expected"),
    [
        ([TIMES, CHUNK, {**CHUNK, "step_time": 3.1}, DONE_MESSAGE], 1000, []),
        ([TIMES, CHUNK], 1000, [("recorded-message-gone", "server message Done")]),
        (
            [],
            1000,
            [("recorded-message-gone", f"server message {name}") for name in ("Chunk", "Done", "Timestamps")],
        ),
        (
            [TIMES, CHUNK, DONE_MESSAGE, {"type": "goodbye"}],
            1000,
            [("recorded-message-new", "server message (undocumented)")],
        ),
        (
            [CHUNK, TIMES, DONE_MESSAGE],
            1000,
            [("recorded-message-order-changed", "server message Chunk")],
        ),
        (
            [TIMES, {**CHUNK, "status_code": "206"}, DONE_MESSAGE],
            1000,
            [("recorded-type-changed", "server message Chunk#/status_code")],
        ),
        (
            [TIMES, CHUNK, {"type": "done", "context_id": "c1", "done": True}],
            1000,
            [("recorded-field-gone", "server message Done#/status_code")],
        ),
        (
            [TIMES, CHUNK, {**DONE_MESSAGE, "billed_characters": 2}],
            1000,
            [("recorded-field-new", "server message Done#/billed_characters")],
        ),
        ([TIMES, CHUNK, DONE_MESSAGE], 1011, [("recorded-close-changed", "close")]),
    ],
    ids=["same", "gone", "silent", "new", "order", "type", "field-gone", "field-new", "close"],
)
def test_recorded_messages_are_compared_with_older_ones(
    messages: list[Any],
    close_code: int,
    expected: list[tuple[str, str]],
    voicegauge_catalogue: Catalogue,
    tmp_path: Path,
) -> None:
    contract = voicegauge_catalogue.find_provider("cartesia")
    old = save_connection(contract, tmp_path / "old.har", [TIMES, CHUNK, DONE_MESSAGE])
    new = save_connection(contract, tmp_path / "new.har", messages, close_code)
    report = compare_inputs(old, new)
    assert [(one.rule, one.location) for one in report.changes] == expected
    for change in report.changes:
        assert change.operation == "speakOverWebSocket"
        positions = [one for one in (change.old_position, change.new_position) if one is not None]
        assert all(one.pointer is not None and one.pointer.startswith("/log/entries/0/_webSocket") for one in positions)


def save_with_keys(contract: Contract, file: Path, messages: Sequence[Any], handshakes: Sequence[Request]) -> str:
    """Save one connection for each handshake; one without a key, or with a wrong one, was rejected with 401."""
    accepted = build_connection(contract, file, messages)
    exchanges = []
    for request in handshakes:
        credentials = [*(value for _, value in request.headers), request.url.partition("=")[2]]
        has_key = any(credentials) and not any(INVALID_API_KEY in one for one in credentials)
        rejected = {"response": Response(status=401), "socket": SocketMessageLog()}
        exchanges.append(msgspec.structs.replace(accepted, request=request, **({} if has_key else rejected)))
    save_har(
        file,
        exchanges,
        provenance=Provenance.RECORDED,
        contract=contract,
        redaction=RedactionSettings(secrets=[SECRET_KEY]),
    )
    return str(file)


SECRET_KEY = "sk_car_4f9dX2mQ8vTz"


def build_handshake(query: str = "", **headers: str) -> Request:
    """Return the handshake of a client with these parameters and headers."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request(method="GET", url=f"https://api.cartesia.ai/tts/websocket{query}", headers=named)


@pytest.mark.parametrize(
    "newer",
    [
        build_handshake(Authorization=f"Bearer {SECRET_KEY}"),
        build_handshake(X_API_Key=SECRET_KEY),
        build_handshake(f"?access_token={SECRET_KEY}"),
        build_handshake(Sec_WebSocket_Protocol=f"token, {SECRET_KEY}"),
    ],
    ids=["bearer", "other-header", "query", "subprotocol"],
)
def test_a_connection_is_compared_with_one_that_sent_a_key_too(
    newer: Request, voicegauge_catalogue: Catalogue, tmp_path: Path
) -> None:
    contract = voicegauge_catalogue.find_provider("cartesia")
    handshakes = [
        build_handshake(),
        build_handshake(Authorization=f"Bearer {INVALID_API_KEY}"),
        build_handshake(Authorization=f"Bearer {SECRET_KEY}"),
    ]
    old = save_with_keys(contract, tmp_path / "old.har", [CHUNK, DONE_MESSAGE], handshakes)
    new = save_with_keys(contract, tmp_path / "new.har", [CHUNK, DONE_MESSAGE, {"type": "heartbeat"}], [newer])
    changes = compare_inputs(old, new).changes
    assert [(one.rule, one.location) for one in changes] == [
        ("recorded-message-new", "server message (undocumented)"),
        ("recorded-request-not-repeated", "request"),
    ]
    assert changes[0].new_position is not None
    assert changes[0].new_position.pointer == "/log/entries/0/_webSocketMessages/2"
    assert compare_inputs(old, old).changes == ()


def test_a_connection_whose_first_message_has_a_key_is_compared_with_one_like_it(
    voicegauge_catalogue: Catalogue, tmp_path: Path
) -> None:
    contract = voicegauge_catalogue.find_provider("lmnt")
    ready = {"type": "ready", "request_id": "r1"}

    def save(name: str, *connections: tuple[str | None, dict[str, Any]]) -> str:
        exchanges = []
        for key, answer in connections:
            connection = build_connection(contract, tmp_path / name, [answer])
            first = {"type": "init"} if key is None else {"type": "init", "X-API-Key": key}
            message = SocketMessage(sender="client", at_ms=0.0, data=json.dumps(first).encode())
            log = msgspec.structs.replace(connection.socket, messages=(message, *connection.socket.messages))
            url = "https://api.lmnt.com/v1/ai/speech/stream"
            exchanges.append(msgspec.structs.replace(connection, request=Request(method="GET", url=url), socket=log))
        save_har(
            tmp_path / name,
            exchanges,
            provenance=Provenance.RECORDED,
            contract=contract,
            redaction=RedactionSettings(secrets=[SECRET_KEY]),
        )
        return str(tmp_path / name)

    error = {"type": "error", "request_id": "r1", "error": {"message": "unauthorized"}}
    old = save("old.har", (None, error), (INVALID_API_KEY, error), (SECRET_KEY, ready))
    new = save("new.har", (SECRET_KEY, {**ready, "region": "eu"}))
    assert [(one.rule, one.location) for one in compare_inputs(old, new).changes] == [
        ("recorded-field-new", "server message Ready#/region"),
        ("recorded-request-not-repeated", "request"),
    ]
    assert compare_inputs(old, old).changes == ()


def test_an_answer_that_the_client_did_not_ask_for_is_not_missing(
    voicegauge_catalogue: Catalogue, tmp_path: Path
) -> None:
    contract = voicegauge_catalogue.find_provider("cartesia")
    flush_done = {
        "type": "flush_done",
        "context_id": "c1",
        "done": False,
        "status_code": 206,
        "flush_done": True,
        "flush_id": 1,
    }
    flush = {"context_id": "c1", "transcript": "", "continue": True, "flush": True}

    def save(name: str, answers: Sequence[Any], *, is_flushed: bool) -> str:
        connection = build_connection(contract, tmp_path / name, answers)
        request = {**flush, "flush": True} if is_flushed else {**flush, "continue": False, "flush": None}
        message = SocketMessage(sender="client", at_ms=0.0, data=json.dumps(request).encode())
        log = msgspec.structs.replace(connection.socket, messages=(message, *connection.socket.messages))
        exchange = msgspec.structs.replace(connection, socket=log)
        save_har(tmp_path / name, [exchange], provenance=Provenance.RECORDED, contract=contract)
        return str(tmp_path / name)

    flushed = save("flushed.har", [CHUNK, flush_done, DONE_MESSAGE], is_flushed=True)
    unanswered = save("unanswered.har", [CHUNK, DONE_MESSAGE], is_flushed=True)
    not_flushed = save("not-flushed.har", [CHUNK, DONE_MESSAGE], is_flushed=False)
    assert compare_inputs(flushed, not_flushed).changes == ()
    assert compare_inputs(not_flushed, flushed).changes == ()
    assert [one.rule for one in compare_inputs(flushed, unanswered).changes] == ["recorded-message-gone"]
    assert [one.rule for one in compare_inputs(unanswered, flushed).changes] == ["recorded-message-new"]
    unused = save_connection(contract, tmp_path / "unused.har", [])
    assert compare_inputs(flushed, unused).changes == ()
    silent = save("silent.har", [], is_flushed=True)
    assert {one.rule for one in compare_inputs(flushed, silent).changes} == {"recorded-message-gone"}


def test_channels_and_messages_without_a_recording_are_named(voicegauge_catalogue: Catalogue, tmp_path: Path) -> None:
    contract = voicegauge_catalogue.find_provider("deepgram")
    (target,) = voicegauge_catalogue.select_targets(["deepgram/aura-2-socket"])
    exchange = Exchange(
        provider="deepgram",
        operation=target.operation.id,
        request=Request(method="GET", url="https://api.deepgram.com/v1/speak"),
        response=Response(status=101),
        socket=SocketMessageLog(
            messages=(
                SocketMessage(sender="server", at_ms=2, data=b"\x00\x00", is_binary=True),
                SocketMessage(sender="server", at_ms=3, data=b'{"type": "Flushed", "sequence_id": 0}'),
            )
        ),
    )
    file = tmp_path / "one.har"
    save_har(file, [exchange], provenance=Provenance.RECORDED, contract=contract)
    changes = compare_inputs("deepgram", str(file)).changes
    channels = {one.operation for one in changes if one.rule == "documented-operation-not-recorded"}
    assert set(contract.socket_operations) - channels == {target.operation.id}
    names = {one.location for one in changes if one.rule == "documented-message-not-recorded"}
    assert names == {
        f"server message {name}"
        for name, schema in contract.socket_operations[target.operation.id].socket.server_schemas.items()
        if not schema.is_binary and name != "Flushed"
    }
