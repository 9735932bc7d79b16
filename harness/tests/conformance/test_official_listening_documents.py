"""Documents in the shapes of official ones that transcribe, left as they are, with an overlay: they work as they are.

AssemblyAI's and Speechmatics' documents are of version 3.0 and describe the client. The one names parameters that are
not in its path; the other has a channel of the same address for each side, keys that OpenAPI does not have, and a final
text apart from the end of its turn.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import voicegauge
from voicegauge.conformance import _socket_sender
from voicegauge.contract.contract import TranscriptionSocketTarget
from voicegauge.contract.loading import load_catalogue

from ..builders.scripted_asr import use_scripted_asr

ONE_CHANNEL = """
asyncapi: 3.0.0
info: {title: Parrot, version: "1"}
servers: {main: {host: listen.parrot.test, protocol: wss}}
channels:
  listening:
    address: /v3/ws
    parameters:
      model: {description: Neither in the path nor in the handshake., enum: [polly]}
      ApiKey: {location: $message.header#/Authorization}
    messages:
      sound: {$ref: "#/components/messages/Sound"}
      stop: {$ref: "#/components/messages/Stop"}
      turn: {$ref: "#/components/messages/Turn"}
      ended: {$ref: "#/components/messages/Ended"}
operations:
  sendSound:
    action: send
    channel: {$ref: "#/channels/listening"}
    messages: [{$ref: "#/channels/listening/messages/sound"}]
  sendStop:
    action: send
    channel: {$ref: "#/channels/listening"}
    messages: [{$ref: "#/channels/listening/messages/stop"}]
  receiveTurn:
    action: receive
    channel: {$ref: "#/channels/listening"}
    messages: [{$ref: "#/channels/listening/messages/turn"}]
  receiveEnd:
    action: receive
    channel: {$ref: "#/channels/listening"}
    messages: [{$ref: "#/channels/listening/messages/ended"}]
components:
  messages:
    Sound: {name: Sound, contentType: application/octet-stream, payload: {type: string, format: binary}}
    Stop: {name: Stop, payload: {$ref: "#/components/schemas/Stop"}}
    Turn: {name: Turn, payload: {$ref: "#/components/schemas/Turn"}}
    Ended: {name: Ended, payload: {type: object, properties: {type: {const: Ended}}, required: [type]}}
  schemas:
    Stop: {type: object, properties: {type: {const: Stop}}, required: [type]}
    Turn:
      type: object
      properties: {type: {const: Turn}, transcript: {type: string}, over: {type: boolean, nullable: true}}
      required: [type, transcript, over]
"""
ONE_CHANNEL_SOCKET = """
        client_messages: {audio: {message: sound}, close: {message: stop, value: {type: Stop}}}
        server_messages:
          - message: turn
            event: partial
            value: {type: Turn, transcript: "{transcript}", over: false}
            recognized_by: {/over: [false]}
          - message: turn
            event: turn-end
            value: {type: Turn, transcript: "{transcript}", over: true}
            recognized_by: {/over: [true]}
          - {message: ended, event: session-end, value: {type: Ended}, recognized_by: {/type: [Ended]}}
"""
TWO_CHANNELS = """
asyncapi: 3.0.0
id: "urn:test:parrot"
defaultContentType: application/json
info:
  title: Parrot
  version: "1"
  externalDocs: {url: "https://parrot.test/docs"}
  tags: [{name: listening}]
servers:
  main:
    host: listen.parrot.test
    pathname: /v2
    protocol: wss
    protocolVersion: v13
    variables: {port: {default: "9000"}}
channels:
  outgoing:
    address: /
    messages:
      Start: {$ref: "#/components/messages/Start"}
      Sound: {$ref: "#/components/messages/Sound"}
      Stop: {$ref: "#/components/messages/Stop"}
  incoming:
    address: /
    messages:
      Started: {payload: {type: object, properties: {message: {const: Started}}, required: [message]}}
      Text: {$ref: "#/components/messages/Text"}
      Over: {payload: {type: object, properties: {message: {const: Over}}, required: [message]}}
      Ended: {payload: {type: object, properties: {message: {const: Ended}}, required: [message]}}
operations:
  outgoing: {action: send, channel: {$ref: "#/channels/outgoing"}}
  incoming: {action: receive, channel: {$ref: "#/channels/incoming"}}
components:
  messages:
    Start:
      payload: {type: object, properties: {message: {const: Start}, rate: {type: integer}}, required: [message, rate]}
    Sound: {contentType: application/octet-stream, payload: {type: string, format: binary}}
    Stop: {payload: {type: object, properties: {message: {const: Stop}}, required: [message]}}
    Text:
      payload:
        type: object
        properties: {message: {enum: [Text, Partial]}, transcript: {type: string}}
        required: [message, transcript]
"""
TWO_CHANNELS_SOCKET = """
        client_messages:
          session: {message: Start, value: {message: Start, rate: 16000}}
          audio: {message: Sound}
          close: {message: Stop, value: {message: Stop}}
        server_messages:
          - {message: Started, event: session, value: {message: Started}, recognized_by: {/message: [Started]}}
          - message: Text
            event: partial
            value: {message: Partial, transcript: "{transcript}"}
            recognized_by: {/message: [Partial]}
          - message: Text
            event: final
            value: {message: Text, transcript: "{transcript}"}
            recognized_by: {/message: [Text]}
          - {message: Over, event: turn-end, value: {message: Over}, recognized_by: {/message: [Over]}}
          - {message: Ended, event: session-end, value: {message: Ended}, recognized_by: {/message: [Ended]}}
        transcript: {turn_text: finals}
"""
OVERLAY = """
overlay: 1.0.0
info: {title: What the official document cannot say, version: "1"}
extends: official.yml
actions:
  - target: $
    update:
      x-provider:
        id: parrot
        title: Parrot
        key_variable: PARROT_KEY
        sources: {official.yml: {title: The official document, date: "2026-11-01"}}
  - target: $.channels.CHANNEL
    update:
      bindings: {ws: {headers: {type: object, properties: {Authorization: {type: string}}}}}
      x-socket:
        id: listen
        client_operation: send
SOCKET
        targets:
          polly:
            title: Polly
            default_language: en
            formats: {pcm: {codec: pcm_s16le, sample_rate_hz: 16000}}
            pricing: {unit: request, usd_per_unit: 0}
"""
DOCUMENTS = {
    "one channel": (ONE_CHANNEL, "listening", ONE_CHANNEL_SOCKET),
    "a channel for each side": (TWO_CHANNELS, "outgoing", TWO_CHANNELS_SOCKET),
}


@pytest.fixture(params=DOCUMENTS)
def overlay(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    official, channel, socket = DOCUMENTS[request.param]
    (tmp_path / "official.yml").write_text(official)
    path = tmp_path / "asyncapi-overlay.yaml"
    path.write_text(OVERLAY.replace("CHANNEL", channel).replace("SOCKET", socket.strip("\n")))
    return path


def test_such_a_document_is_read_with_the_messages_of_both_sides(overlay: Path) -> None:
    (target,) = load_catalogue([overlay]).select_targets(["parrot"])
    assert isinstance(target, TranscriptionSocketTarget)
    assert target.socket.client_schemas
    assert target.socket.server_schemas
    assert not set(target.socket.client_schemas) & {"turn", "Text", "Over"}


def test_an_offline_check_of_websockets_alone_says_that_nothing_was_judged(overlay: Path) -> None:
    report = voicegauge.check("parrot", contracts=overlay)
    assert report.findings == ()
    assert "parrot" in report.not_judged_reason_by_name


def test_a_check_of_such_a_document_has_no_finding(overlay: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_scripted_asr(monkeypatch)
    monkeypatch.setattr(_socket_sender, "DEFAULT_TURN_END_TIMEOUT_S", 2.0)
    report = voicegauge.check("parrot/polly", emulated=True, contracts=overlay)
    assert report.findings == ()
    assert {case.verdict for case in report.case_results} == {"passed"}
