"""`voicegauge init` on AsyncAPI documents: an overlay that leaves the document as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from voicegauge.api.documents import propose_overlay
from voicegauge.cli import run
from voicegauge.contract.contract import SocketTarget
from voicegauge.contract.document_assembly import find_overlay_base
from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import ContractError, UsageError

SPEAKING = """
asyncapi: 2.6.0
info: {title: Parrot API, version: "1"}
servers: {main: {url: "wss://api.parrot.test", protocol: wss}}
channels:
  /v1/speak:
    bindings: {ws: {headers: {type: object, properties: {Authorization: {type: string}}}}}
    publish:
      summary: Server messages
      message:
        oneOf:
          - {name: Audio, payload: {type: string, format: binary}}
          - {name: Flushed, payload: {type: object, properties: {type: {enum: [Flushed, Cleared]}}, required: [type]}}
          - name: Warning
            payload: {type: object, properties: {type: {const: Warning}, description: {type: string}}, required: [type]}
          - {name: Done, payload: {type: object, properties: {type: {const: Done}}, required: [type]}}
    subscribe:
      summary: Client messages
      message:
        oneOf:
          - name: SpeakText
            payload:
              type: object
              properties: {type: {const: Speak}, text: {type: string}, speed: {type: number}}
              required: [type, text]
          - {name: SpeakFlush, payload: &control {type: object, properties: {type: {enum: [Flush, Clear, Close]}}, required: [type]}}
          - {name: SpeakClear, payload: *control}
          - {name: SpeakClose, payload: *control}
          - {name: FinishText, payload: {type: object, properties: {type: {const: Finish}, text: {type: string}}, required: [type]}}
"""  # noqa: E501


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "official.yml"
    path.write_text(SPEAKING)
    return path


def read_socket(overlay: str) -> dict[str, Any]:
    socket: dict[str, Any] = yaml.safe_load(overlay)["actions"][1]["update"]["x-socket"]
    return socket


def complete(overlay: str) -> str:
    """Replace each TODO, the mark of `init` for what a person decides, and say how a turn ends."""
    completed = overlay.replace("effect: TODO", "effect: stops").replace("title: TODO", "title: Polly")
    completed = completed.replace("codec: TODO", "codec: pcm_s16le").replace("rate_hz: TODO", "rate_hz: 24000")
    turn = "turn: {ends_with: turn-end, accepts_pieces: false}"
    return completed.replace("server_messages:", f"{turn}\n      server_messages:")


def test_messages_are_recognized_by_their_names_and_schemas(document: Path) -> None:
    proposal = propose_overlay(document)
    socket = read_socket(proposal.overlay)
    assert socket["client_operation"] == "subscribe"
    assert {action: one["value"] for action, one in socket["client_messages"].items()} == {
        "text": {"type": "Speak", "text": "{text}"},
        "flush": {"type": "Flush"},
        "cancel": {"type": "Clear"},
        "close": {"type": "Close"},
    }
    assert [(one["message"], one["event"]) for one in socket["server_messages"]] == [
        ("Audio", "audio"), ("Flushed", "flush-end"), ("Warning", "warning"), ("Done", "turn-end"),
    ]  # fmt: skip
    assert socket["server_messages"][2]["value"] == {"type": "Warning", "description": "{reason}"}
    assert "what a cancellation does: effect" in proposal.todo
    assert (proposal.provider, proposal.operations[0].request) == ("parrot", "WebSocket /v1/speak")


def test_a_completed_proposal_is_a_contract_and_the_document_is_unchanged(document: Path) -> None:
    overlay = document.with_name("asyncapi-overlay.yaml")
    text = propose_overlay(document).overlay
    overlay.write_text(text)
    with pytest.raises(ContractError, match="TODO"):  # the mark that `init` writes where a person has to decide
        load_catalogue([overlay])
    overlay.write_text(complete(text))
    (target,) = load_catalogue([overlay]).select_targets(["parrot"])
    assert isinstance(target, SocketTarget)
    assert document.read_text() == SPEAKING


def test_an_unknown_content_encoding_is_removed_from_a_message_but_not_from_an_example(document: Path) -> None:
    text = "{type: string, contentEncoding: utf-8, examples: [{contentEncoding: utf-8}]}"
    shared = "&control {type: object, properties: {"
    document.write_text(
        SPEAKING.replace("text: {type: string}", f"text: {text}").replace(shared, f"{shared}note: {text}, ")
    )
    proposal = propose_overlay(document)
    assert "properties/text/contentEncoding, which is not a content encoding and is removed" in str(proposal.todo)
    assert "examples" not in proposal.overlay
    overlay = document.with_name("asyncapi-overlay.yaml")
    overlay.write_text(complete(proposal.overlay))
    assert load_catalogue([overlay]).select_targets(["parrot"])


@pytest.mark.parametrize(
    ("name", "indent"), [("official.yaml", None), ("official.json", None), ("official.json", "\t")]
)
def test_a_document_is_recognized_wherever_its_key_is(tmp_path: Path, name: str, indent: str | None) -> None:
    data = yaml.safe_load(SPEAKING)
    info = {**data.pop("info"), "description": "A parrot. " * 1000}
    text = json.dumps({"info": info, **data}, indent=indent)
    (tmp_path / name).write_text(text)
    assert propose_overlay(tmp_path / name).operations[0].request == "WebSocket /v1/speak"


@pytest.mark.parametrize("key", ["asyncapi", "overlay"])
def test_a_key_below_the_top_level_does_not_say_what_a_document_is(tmp_path: Path, key: str) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(f"info:\n  title: Parrot\n  version: '1'\nx-note:\n  {key}: 1.0.0\nopenapi: 3.1.0\npaths: {{}}\n")
    with pytest.raises(UsageError, match="no operation with a text in its request"):
        propose_overlay(path)
    assert find_overlay_base(path) is None


def test_a_document_without_servers_and_with_several_channels(document: Path) -> None:
    data = yaml.safe_load(SPEAKING)
    del data["servers"]
    data["channels"]["/v2/speak"] = data["channels"]["/v1/speak"]
    document.write_text(yaml.safe_dump(data))
    proposal = propose_overlay(document, provider="polly")
    assert "the address of the service: servers" in proposal.todo
    assert [one.targets for one in proposal.operations] == [("speak-socket",), ("speak-2-socket",)]
    assert "&" not in proposal.overlay


@pytest.mark.parametrize("channels", [{}, {"/x": {"publish": {"message": {"name": "Ping", "payload": {}}}}}, 7, [1]])
def test_a_document_with_nothing_to_propose_is_one_line(document: Path, channels: Any) -> None:
    document.write_text(yaml.safe_dump({**yaml.safe_load(SPEAKING), "channels": channels}))
    with pytest.raises(UsageError, match="no channel whose client sends text or audio: write x-socket by hand"):
        propose_overlay(document)


def test_the_command_writes_the_overlay_beside_the_document(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(document)]) == 0
    assert document.with_name("asyncapi-overlay.yaml").is_file()
    assert "WebSocket /v1/speak: speak-socket" in capsys.readouterr().out
    assert run(["init", str(document), "--operation", "x", "--out", str(document.with_name("b.yaml"))]) == 2
    assert "--operation is for OpenAPI documents" in capsys.readouterr().err
