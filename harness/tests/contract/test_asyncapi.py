"""WebSockets in contracts: AsyncAPI 2.6 and 3.0, alone and beside an OpenAPI document."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import indent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import Catalogue, load_catalogue, load_contract
from voicegauge.errors import ContractError

VERSION_2 = """\
asyncapi: 2.6.0
info: {title: Parrot, version: "1"}
servers: {main: {url: "ws://127.0.0.1:9000", protocol: ws}}
x-provider:
  id: parrot
  title: Parrot
  key_variable: PARROT_KEY
  sources: {page.md: {title: Page, date: "2026-11-24"}}
channels:
  /speak:
    CLIENT:
      message: {oneOf: [{$ref: "#/components/messages/Say"}, {$ref: "#/components/messages/Stop"}]}
    SERVER:
      message: {oneOf: [{$ref: "#/components/messages/Sound"}, {$ref: "#/components/messages/Ready"}]}
    x-socket: &socket
      id: speak
      client_operation: CLIENT
      client_messages:
        text: {message: Say, value: {say: "{text}"}}
        end: {message: Stop, value: {stop: true}}
      server_messages:
        - {message: Sound, event: audio, value: {sound: "{audio}"}}
        - {message: Ready, event: turn-end, value: {ready: yes}}
      targets:
        polly:
          title: Polly
          formats: {pcm: {codec: pcm_s16le, sample_rate_hz: 16000}}
components:
  messages:
    Say: {payload: {type: object, required: [say], properties: {say: {type: string, nullable: true}}}}
    Stop: {payload: {type: object, required: [stop]}}
    Sound: {payload: {type: object, required: [sound], properties: {sound: {type: string}}}}
    Ready: {payload: {type: object, required: [ready], properties: {ready: {const: "yes"}}}}
"""
VERSION_3 = """\
asyncapi: 3.0.0
info: {title: Parrot, version: "1"}
servers: {main: {host: "127.0.0.1:9000", protocol: ws}}
x-provider:
  id: parrot
  title: Parrot
  key_variable: PARROT_KEY
  sources: {page.md: {title: Page, date: "2026-11-24"}}
channels:
  speech:
    address: /speak
    messages:
      Say: {payload: {type: object, required: [say], properties: {say: {type: string}}}}
      Stop: {payload: {type: object, required: [stop]}}
      Sound: {payload: {type: object, required: [sound], properties: {sound: {type: string}}}}
      Ready: {payload: {schemaFormat: "application/schema+json", schema: {type: object, required: [ready]}}}
    x-socket:
      id: speak
      client_messages:
        text: {message: Say, value: {say: "{text}"}}
        end: {message: Stop, value: {stop: true}}
      server_messages:
        - {message: Sound, event: audio, value: {sound: "{audio}"}}
        - {message: Ready, event: turn-end, value: {ready: "yes"}}
      targets:
        polly:
          title: Polly
          formats: {pcm: {codec: pcm_s16le, sample_rate_hz: 16000}}
operations:
  hear:
    action: receive
    channel: {$ref: "#/channels/speech"}
    messages: [{$ref: "#/channels/speech/messages/Say"}, {$ref: "#/channels/speech/messages/Stop"}]
  speak:
    action: send
    channel: {$ref: "#/channels/speech"}
    messages: [{$ref: "#/channels/speech/messages/Sound"}, {$ref: "#/channels/speech/messages/Ready"}]
"""


def write(folder: Path, text: str, name: str = "asyncapi.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def build_version_2(client: str, server: str) -> str:
    return VERSION_2.replace("CLIENT", client).replace("SERVER", server)


@pytest.mark.parametrize(
    "text", [build_version_2("publish", "subscribe"), build_version_2("subscribe", "publish"), VERSION_3]
)
def test_both_versions_and_both_points_of_view_are_read(text: str, tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, text))
    assert contract.id == "parrot"
    assert contract.servers["main"].url == "http://127.0.0.1:9000"
    target = contract.socket_targets["polly"]
    assert (target.operation.path, target.operation.method) == ("/speak", "GET")
    socket = target.socket
    assert set(socket.client_schemas) == {"Say", "Stop"}
    assert set(socket.server_schemas) == {"Sound", "Ready"}
    assert [one.kind for one in socket.read_server_message(b'{"ready":"yes"}', is_binary=False)] == ["turn-end"]
    assert socket.read_client_message(b'{"say":"Hello"}').text == "Hello"
    assert list(socket.iterate_violations("server", b'{"sound":"AAA="}', is_binary=False)) == []


def test_a_null_text_of_a_generated_document_is_valid(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, build_version_2("publish", "subscribe")))
    socket = contract.socket_targets["polly"].socket
    assert list(socket.iterate_violations("client", b'{"say":null}', is_binary=False)) == []


def test_a_reference_may_have_a_name_with_a_slash_as_generated_documents_write_it(tmp_path: Path) -> None:
    text = build_version_2("publish", "subscribe").replace("messages/Say", "messages/voice/v1.Say")
    contract = load_contract(
        write(
            tmp_path, text.replace("    Say:", "    voice/v1.Say:").replace("message: Say,", "message: voice/v1.Say,")
        )
    )
    socket = contract.socket_targets["polly"].socket
    assert set(socket.client_schemas) == {"voice/v1.Say", "Stop"}
    assert list(socket.iterate_violations("client", b'{"say":"Hello"}', is_binary=False)) == []


def test_a_message_that_fits_nothing_is_described(tmp_path: Path) -> None:
    socket = load_contract(write(tmp_path, VERSION_3)).socket_targets["polly"].socket
    (violation,) = socket.iterate_violations("server", b'{"sound":1}', is_binary=False)
    assert violation.reason == '(Sound) at /sound: 1 is not of type "string"'
    assert [one.reason for one in socket.iterate_violations("server", b"{", is_binary=False)] == ["is not JSON"]
    (violation,) = socket.iterate_violations("server", b'"\xff"', is_binary=False)
    assert violation.reason == "is a text frame that is not valid UTF-8"
    (binary,) = socket.iterate_violations("server", b"\0\1", is_binary=True)
    assert "no binary message is documented" in binary.reason


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("asyncapi: 3.0.0", "asyncapi: 1.2.0", 1, "must be an AsyncAPI document of version 2 or 3.0"),
        (
            "message: Say, value",
            "message: Sing, value",
            20,
            "unknown message 'Sing': known of this side",
        ),
        ("text: {message: Say", "test: {message: Say", 20, "'test' is not one of the possible values"),
        ("event: turn-end", "event: over", 24, "over"),
        ("protocol: ws}", "protocol: mqtt}", 3, "needs a URL or host, and the protocol ws or wss"),
        ("  id: parrot\n", "", 4, "id"),
        ("event: audio, value", "event: audio, extra: 1, value", 23, "extra"),
        ("server_messages:", "server_message:", 22, "did you mean server_messages?"),
        ("event: audio", "event: audoi", 23, "did you mean audio?"),
        ("text: {message", "txet: {message", 20, "did you mean text?"),
        ("codec: pcm_s16le", "codec: pcm_s16l", 28, "did you mean pcm_s16le?"),
        ("sample_rate_hz", "sample_rate", 28, "did you mean sample_rate_hz?"),
        ("title: Polly", "title: Polly\n          price_of: parot", 28, "unknown target 'parot'"),
        ("x-socket:", "x-sockets:", 17, "did you mean x-socket?"),
        ("address:", "adress:", 10, "needs its address, the path of the WebSocket"),
        ("action: send", "action: sned", 35, "needs its action, send or receive, not 'sned'"),
        (
            "messages/Stop",
            "messages/Stopp",
            33,
            "$ref '#/channels/speech/messages/Stopp' leads nowhere: did you mean Stop?",
        ),
    ],
)
def test_an_error_has_file_and_line(old: str, new: str, line: int, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path, VERSION_3.replace(old, new, 1))
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert reason in str(caught.value)


HOST_3 = 'host: "127.0.0.1:9000"'
SAY_OR_STOP_2 = '{oneOf: [{$ref: "#/components/messages/Say"}, {$ref: "#/components/messages/Stop"}]}'
STOP_3 = "Stop: {payload: {type: object, required: [stop]}}"


@pytest.mark.parametrize(
    ("text", "old", "new", "reason"),
    [
        (VERSION_3, HOST_3, 'host: "{host}:9000", variables: {host: eu}', "default for each variable"),
        (VERSION_3, HOST_3, 'host: "{host}:9000", variables: [host]', "default for each variable"),
        (VERSION_3, STOP_3, "Stop: 1.5", "leads to a value that is not an object"),
        (VERSION_3, "operations:", "operations:\n  other: []", "must be an object"),
        (VERSION_3, "    address: /speak", "    address: '/speak/{to}'\n    parameters: {to: []}", "must be an object"),
        (VERSION_3, "operations:", "components: {securitySchemes: {key: 1}}\noperations:", "must be an object"),
        (VERSION_2, SAY_OR_STOP_2, "{oneOf: 1}", "must be a list"),
    ],
)
def test_a_part_of_another_type_than_documented_is_one_line(
    text: str, old: str, new: str, reason: str, tmp_path: Path
) -> None:
    text = text.replace("CLIENT", "publish").replace("SERVER", "subscribe")
    assert text.count(old) == 1
    with pytest.raises(ContractError, match=reason):
        load_contract(write(tmp_path, text.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (STOP_3, "Stop: {payload: true}"),
        ("protocol: ws}", "protocol: ws, variables: 1}"),
        ("    address: /speak", "    address: /speak\n    servers: [{}]"),
        ("    address: /speak", "    address: /speak\n    bindings: {ws: {query: {required: 1, properties: {a: {}}}}}"),
    ],
)
def test_a_part_that_says_nothing_is_accepted(old: str, new: str, tmp_path: Path) -> None:
    assert load_contract(write(tmp_path, VERSION_3.replace(old, new, 1))).socket_targets


def test_a_document_without_provider_is_rejected(tmp_path: Path) -> None:
    start, end = VERSION_3.index("x-provider"), VERSION_3.index("channels")
    path = write(tmp_path, VERSION_3[:start] + VERSION_3[end:])
    with pytest.raises(ContractError, match="needs x-provider"):
        load_contract(path)


def test_a_folder_may_have_a_provider_with_websockets_only(tmp_path: Path) -> None:
    write(tmp_path, VERSION_3, "parrot/asyncapi.yaml")
    catalogue = load_catalogue([tmp_path])
    assert [target.id for target in catalogue.select_targets(["parrot"])] == ["parrot/polly"]


def test_a_folder_may_have_an_official_document_with_an_overlay_and_websockets_only(tmp_path: Path) -> None:
    start, end = VERSION_3.index("x-provider"), VERSION_3.index("channels")
    write(tmp_path, VERSION_3[:start] + VERSION_3[end:], "parrot/asyncapi.yaml")
    provider = indent(VERSION_3[start:end], " " * 6)
    head = "overlay: 1.0.0\ninfo: {title: a, version: '1'}\nextends: asyncapi.yaml\n"
    overlay = f"{head}actions:\n  - target: $\n    update:\n"
    write(tmp_path, overlay + provider, "parrot/asyncapi-overlay.yaml")
    catalogue = load_catalogue([tmp_path])
    assert [target.id for target in catalogue.select_targets(["parrot"])] == ["parrot/polly"]


def test_a_provider_stands_for_its_websockets_only_if_asked() -> None:
    catalogue: Catalogue = load_catalogue()
    plain = {target.id for target in catalogue.select_targets(["cartesia"])}
    all_of_it = {target.id for target in catalogue.select_targets(["cartesia"], with_sockets=True)}
    assert all_of_it - plain == {"cartesia/sonic-3.5-socket", "cartesia/sonic-3-socket"}
    assert catalogue.select_targets(["cartesia/sonic-3-socket"])[0].id == "cartesia/sonic-3-socket"


BUNDLED = [target for contract in load_catalogue() for target in contract.socket_targets.values()]


@pytest.mark.parametrize("target", BUNDLED, ids=[target.id for target in BUNDLED])
def test_messages_of_bundled_contracts_fit_their_schemas_and_are_recognized(target) -> None:
    socket, settings = target.socket, target.collect_constants()
    for action in target.spec.client_messages:
        message = socket.build_client_message(
            action, text="Hello. ", context="c-1", settings=settings, key="k", nonce=7
        )
        assert message is not None
        assert list(socket.iterate_violations("client", message.encode(), is_binary=False)) == []
        intent = socket.read_client_message(message.encode())
        assert action in intent.actions
        assert intent.context == ("c-1" if '"c-1"' in message else None)
    values = {"audio": b"ab", "words": ["a"], "starts": [0.5], "ends": [1.0], "reason": "r", "flush": 1, "id": "i"}
    values |= {"nonce": 7, "duration_ms": 10, "characters": 3}
    for one in target.spec.server_messages:
        message = socket.build_server_message(one.event, context="c-1", **values)
        if message is not None:
            assert list(socket.iterate_violations("server", message.encode(), is_binary=False)) == []
            assert one.event in {event.kind for event in socket.read_server_message(message.encode(), is_binary=False)}


@pytest.fixture(scope="module")
def cartesia() -> Contract:
    return load_catalogue().find_provider("cartesia")


@given(
    data=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.text(max_size=5)
            | st.sampled_from(["chunk", "done", "timestamps"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["type", "data", "context_id", "word_timestamps", "words", "start"]), inner
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_nothing_that_a_service_sends_raises_an_error(cartesia: Contract, data: bytes) -> None:
    socket = cartesia.socket_targets["sonic-3.5-socket"].socket
    for event in socket.read_server_message(data, is_binary=False):
        assert event.audio is None or isinstance(event.audio, bytes)
    list(socket.iterate_violations("server", data, is_binary=False))
    socket.read_client_message(data)


def test_a_security_scheme_never_replaces_another_one_of_its_name(tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "contracts" / "murf"
    for name in ("openapi.yaml", "asyncapi.yaml"):
        write(tmp_path, (folder / name).read_text().replace("handshakeKey", "apiKey"), name)
    with pytest.raises(ContractError, match=r"asyncapi\.yaml:\d+: .*differs from the security scheme 'apiKey'"):
        load_contract(tmp_path / "openapi.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('{say: "{text}"}', '{say: "{txet}"}', r"unknown placeholder '\{txet\}': did you mean \{text\}\?"),
        ('{say: "{text}"}', '{say: "hello"}', r'has no "\{text\}"'),
        ("codec: pcm_s16le", "codec: pcm_foo", "pcm_foo"),
        ("event: turn-end", "event: other", "turns end with 'turn-end'"),
        ("        end: {message: Stop, value: {stop: true}}\n", "", "has no 'end'"),
        ("id: speak\n", "id: speak\n      handshake_alternatives: [[query.v]]\n", "needs two or more locations"),
        ("id: speak\n", "id: speak\n      handshake_alternatives: [[query.v, body#/v]]\n", "not 'body#/v'"),
        (
            "value: {stop: true}}",
            "value: {stop: true}, recognized_by: {stop: [true]}}",
            "'stop' must be a JSON pointer",
        ),
    ],
)
def test_what_could_never_work_is_rejected_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in VERSION_3
    with pytest.raises(ContractError, match=rf"asyncapi\.yaml:\d+: .*{message}"):
        load_contract(write(tmp_path, VERSION_3.replace(old, new)))


STRICT_STOP = "Stop: {payload: {type: object, required: [stop], properties: {stop: {const: true}}}}"
STRICT_READY = (
    "Ready: {payload: {type: object, required: [ready, id], additionalProperties: false, "
    'properties: {ready: {const: "yes"}, id: {type: string}}}}'
)
LOOSE_READY = 'Ready: {payload: {schemaFormat: "application/schema+json", schema: {type: object, required: [ready]}}}'


@pytest.mark.parametrize(
    ("schema", "template", "line", "message"),
    [
        ("", ('{say: "{text}"}', '{sya: "{text}"}'), 20, r'schema of Say \(line 13\): "say" is a required property'),
        ("", ('{say: "{text}"}', '{say: ["{text}"]}'), 20, r"schema of Say .*at /say, .* is not of type \"string\""),
        (STRICT_STOP, ("{stop: true}", "{stop: false}"), 21, r"schema of Stop .*at /stop, true was expected"),
        (STRICT_READY, ('{ready: "yes"}', '{ready: "yes"}'), 24, r'schema of Ready .*"id" is a required property'),
        (STRICT_READY, ('{ready: "yes"}', '{ready: "no", id: "{id}"}'), 24, r'at /ready, "yes" was expected'),
        (STRICT_READY, ('{ready: "yes"}', '{ready: "yes", id: "{turn}"}'), 24, r'at /id, 1 is not of type "string"'),
        (STRICT_READY, ('{ready: "yes"}', '{ready: "yes", id: "a", it: 1}'), 24, r"Additional properties .*'it'"),
    ],
)
def test_a_template_that_contradicts_the_schema_of_its_message_is_rejected(
    schema: str, template: tuple[str, str], line: int, message: str, tmp_path: Path
) -> None:
    name = schema.partition(":")[0]
    document = VERSION_3.replace({"Stop": STOP_3, "Ready": LOOSE_READY}.get(name, "?"), schema).replace(*template)
    with pytest.raises(ContractError, match=rf"asyncapi\.yaml:{line}: .*{message}"):
        load_contract(write(tmp_path, document))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("properties: {say: {type: string}}", 'properties: {say: {type: string, pattern: "^[A-Z]{9}$"}}'),
        ("properties: {say: {type: string}}", "properties: {say: {anyOf: [{maxLength: 1}, {format: uuid}]}}"),
        ("required: [say], properties", "anyOf: [{properties: {say: {maxLength: 1}}}, {required: [no]}], properties"),
        (
            "required: [say], properties",
            "if: {properties: {say: {minLength: 2}}}, then: {required: [long]}, properties",
        ),
    ],
)
def test_what_depends_on_the_value_of_a_placeholder_is_not_judged(old: str, new: str, tmp_path: Path) -> None:
    assert VERSION_3.count(old) == 1
    assert load_contract(write(tmp_path, VERSION_3.replace(old, new))).socket_targets


@pytest.mark.parametrize(
    ("encoding", "is_known"), [("base46", False), ("64", False), ("Base64", True), ("x-own", True)]
)
def test_an_unknown_encoding_of_a_text_is_rejected(encoding: str, is_known: bool, tmp_path: Path) -> None:
    old = "properties: {sound: {type: string}}"
    assert VERSION_3.count(old) == 1
    new = f"properties: {{sound: {{type: string, contentEncoding: {encoding}}}}}"
    path = write(tmp_path, VERSION_3.replace(old, new))
    if is_known:
        assert load_contract(path).socket_targets
        return
    with pytest.raises(ContractError, match=rf"asyncapi\.yaml:15: unknown content encoding '{encoding}': .*base64"):
        load_contract(path)


def test_a_constant_of_a_target_that_its_message_does_not_allow_is_rejected(tmp_path: Path) -> None:
    document = VERSION_3.replace("properties: {say: {type: string}}", "properties: {say: {}, model: {enum: [a, b]}}")
    document = document.replace("title: Polly\n", "title: Polly\n          request_constants: {body#/model: c}\n")
    with pytest.raises(ContractError, match=r"asyncapi\.yaml:2[67]: .*schema of Say .*at /model, \"c\" is not one of"):
        load_contract(write(tmp_path, document))


def test_audio_that_is_not_base64_is_a_violation(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, VERSION_3))
    (target,) = contract.socket_targets.values()

    def list_reasons(data: bytes) -> list[str]:
        return [one.reason for one in target.socket.iterate_violations("server", data, is_binary=False)]

    assert list_reasons(b'{"sound": "AAAA"}') == []
    assert list_reasons(b'{"sound": "!!!"}') == ["has audio that is not base64"]


def test_a_server_of_websockets_alone_is_described_with_ws(tmp_path: Path) -> None:
    from voicegauge.client.connection import find_key_destinations

    contract = load_contract(write(tmp_path, VERSION_3))
    destinations = find_key_destinations(contract, {"": "http://127.0.0.1:9001"})
    assert destinations.server_urls == ("ws://127.0.0.1:9001",)
    assert contract.describe_base_url("", "https://parrot.test") == "wss://parrot.test"
