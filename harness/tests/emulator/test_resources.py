"""Resources of accounts by the contract of TTS.ai: saved voices, embeddings, conversations and batches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from voicegauge.cases.valid_requests import load_voice_sample
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.emulator.provider_app import describe_emulation
from voicegauge.emulator.server import running_app
from voicegauge.speech.decoding import decode

from ..builders.contracts import load_text
from ..builders.documents import changed_yaml

Ask = Callable[..., httpx.Response]
CONSENT = {"name": "My Narrator", "consent_confirmed": "true"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    settings = EmulatorSettings(clock="per-poll", credits=1e9, enforces_rate_limits=False)
    with running_app(create_app([load_catalogue().find_provider("ttsai")], settings)) as root:
        yield f"{root}/ttsai"


@pytest.fixture
def send(url, request) -> Iterator[Ask]:
    """Each test uses a new account."""
    with httpx.Client(timeout=60) as http:

        def send(method: str, path: str, *, key: str = request.node.name, **more: Any) -> httpx.Response:
            return http.request(method, f"{url}{path}", headers={"Authorization": f"Bearer {key}"}, **more)

        yield send


def saved(send: Ask, **fields: str) -> httpx.Response:
    files = {"file": ("me.mp3", load_voice_sample().data, "audio/mpeg")}
    return send("POST", "/api/v1/user-voices/", data={**CONSENT, **fields}, files=files)


def spoken(send: Ask, voice: str, **more: Any) -> int:
    return send("POST", "/api/v1/tts/", json={"text": "Hello.", "user_voice_id": voice}, **more).status_code


def test_a_saved_voice_has_the_requested_fields_and_is_listed(send) -> None:
    made = [saved(send, name=name, language="pl").json() for name in ("First", "Second")]
    assert [voice["name"] for voice in made] == ["First", "Second"]
    assert {(voice["language"], voice["storage_status"]) for voice in made} == {("pl", "active")}
    assert len({voice["public_id"] for voice in made} | {voice["id"] for voice in made}) == 4
    listed = send("GET", "/api/v1/user-voices/").json()
    assert (listed["voices"], listed["quota"]["used"]) == (made, 2)


def test_ids_of_resources_fit_the_parameter_that_deletes_them(tmp_path: Path) -> None:
    text = (load_catalogue().find_provider("ttsai").document.path).read_text(encoding="utf-8")
    changes = {"/components/schemas/UserVoiceId": {"type": "string", "pattern": "^voice-[a-j]{5,9}$"}}
    contract = load_text(tmp_path, changed_yaml(text, changes))
    app = create_app([contract], EmulatorSettings(clock="per-poll", credits=1e9))
    with running_app(app) as root, httpx.Client(headers={"Authorization": "Bearer k"}, timeout=60) as http:

        def send(method: str, path: str, **more: Any) -> httpx.Response:
            return http.request(method, f"{root}/ttsai{path}", **more)

        made = [saved(send).json()["public_id"] for _ in range(2)]
        deleted = (*made, made[0])
        statuses = [send("DELETE", "/api/v1/user-voices/", params={"public_id": one}).status_code for one in deleted]
    assert all(re.fullmatch("voice-[a-j]{5,9}", one) for one in made)
    assert statuses == [200, 200, 404]


def test_a_voice_keeps_the_requested_lists_and_its_own_id() -> None:
    clip = {"file": ("me.mp3", load_voice_sample().data, "audio/mpeg")}
    with (
        running_app(create_app([load_catalogue().find_provider("lmnt")], EmulatorSettings())) as root,
        httpx.Client(base_url=f"{root}/lmnt/v1/ai/", headers={"X-API-Key": "key"}, timeout=60) as http,
    ):
        made = http.post("voice", data={"name": "Anna", "tags": "calm,low"}, files=clip).json()
        assert (made["name"], made["tags"]) == ("Anna", ["calm", "low"])
        assert http.get(f"voice/{made['id']}").json()["tags"] == ["calm", "low"]
        changed = http.put(f"voice/{made['id']}", json={"name": "Bea", "id": "leah"}).json()["voice"]
        assert (changed["id"], changed["name"]) == (made["id"], "Bea")
        assert made["id"] in [voice["id"] for voice in http.get("voice/list").json()]


@pytest.mark.parametrize(
    ("operation_id", "described"),
    [
        ("retrieveVoice", "reads a resource: cloned voice"),
        ("updateVoice", "changes a resource: cloned voice"),
        ("generate", "returns speech"),
    ],
)
def test_an_operation_on_a_resource_is_described_as_it_is_emulated(operation_id: str, described: str) -> None:
    assert describe_emulation(load_catalogue().find_provider("lmnt").find_operation(operation_id)) == described


@pytest.mark.parametrize("consent", [{"consent_confirmed": text} for text in ("false", "0", "")])
def test_a_voice_is_saved_only_with_consent(send, consent) -> None:
    assert saved(send, **consent).status_code == 400
    assert send("GET", "/api/v1/user-voices/").json()["voices"] == []


def test_an_archived_voice_exists_but_cannot_be_used(send) -> None:
    voice = saved(send).json()["public_id"]
    archived = send("POST", f"/api/v1/user-voices/{voice}/archive/").json()
    assert (archived["public_id"], archived["storage_status"]) == (voice, "archived")
    assert spoken(send, voice) == 400
    assert [item["storage_status"] for item in send("GET", "/api/v1/user-voices/").json()["voices"]] == ["archived"]
    assert send("POST", f"/api/v1/user-voices/{voice}/reactivate/").json()["storage_status"] == "active"
    assert spoken(send, voice) == 200


def test_a_deleted_voice_is_not_found(send) -> None:
    voice = saved(send).json()["public_id"]
    assert send("DELETE", "/api/v1/user-voices/", params={"public_id": voice}).status_code == 200
    assert spoken(send, voice) == 404
    assert send("POST", f"/api/v1/user-voices/{voice}/archive/").status_code == 404
    assert send("DELETE", "/api/v1/user-voices/", params={"public_id": voice}).status_code == 404
    assert send("GET", "/api/v1/user-voices/").json() == {"voices": [], "quota": {"used": 0, "limit": 50}}


def test_a_voice_belongs_to_its_account(send) -> None:
    voice = saved(send).json()["public_id"]
    assert send("GET", "/api/v1/user-voices/", key="somebody-else").json()["voices"] == []
    assert spoken(send, voice, key="somebody-else") == 404


def test_an_account_has_its_quota() -> None:
    contract = load_catalogue().find_provider("ttsai")
    with (
        running_app(create_app([contract], EmulatorSettings(account_plan="business-plus"))) as root,
        httpx.Client() as http,
    ):

        def send(method: str, path: str, **more: Any) -> httpx.Response:
            return http.request(method, f"{root}/ttsai{path}", headers={"Authorization": "Bearer quota"}, **more)

        responses = [saved(send).status_code for _ in range(51)]
    assert responses == [200] * 50 + [403]


def test_an_embedding_replaces_its_recording(send) -> None:
    files = {"file": ("me.mp3", load_voice_sample().data, "audio/mpeg")}
    embedding = send("POST", "/v1/tts/embed/", data={"model": "spark"}, files=files).json()
    assert embedding["model"] == "spark"
    words = {"text": (None, "Hello there."), "embed_id": (None, embedding["embed_id"])}
    cloned = send("POST", "/v1/tts/clone/", files=words)
    assert decode(cloned.content).duration_s > 0.3
    assert send("POST", "/v1/tts/clone/", files={**words, "embed_id": (None, "emb_000000000000")}).status_code == 404
    assert send("POST", "/v1/tts/clone/", files={"text": (None, "Hello there.")}).status_code == 400


def test_a_conversation_is_stored_and_the_reply_is_spoken(send) -> None:
    first = send("POST", "/v1/voice-chat/", json={"text": "My name is Ada."}).json()
    assert (first["user_text"], first["credits_used"]) == ("My name is Ada.", 3000)
    assert "turn 1" in first["ai_text"]
    again = {"text": "What is my name?", "conversation_id": first["conversation_id"]}
    second = send("POST", "/v1/voice-chat/", json=again).json()
    assert second["conversation_id"] == first["conversation_id"]
    assert "turn 2" in second["ai_text"]
    assert "My name is Ada." in second["ai_text"]
    longer, shorter = (decode(httpx.get(response["audio_url"]).content).duration_s for response in (second, first))
    assert longer > shorter > 1
    assert send("POST", "/v1/voice-chat/", json={**again, "conversation_id": "conv_0"}).status_code == 404
    assert send("POST", "/v1/voice-chat/", json=again, key="somebody-else").status_code == 404


def test_a_batch_reports_its_progress_and_every_item_is_a_job(send) -> None:
    texts = [{"text": f"Number {n}.", "model": "kokoro", "voice": "af_bella", "format": "wav"} for n in range(3)]
    batch = send("POST", "/v1/tts/batch/", json={"texts": texts}).json()
    polls = [batch]
    while polls[-1]["status"] != "completed":
        polls.append(send("GET", "/v1/tts/batch/result/", params={"batch_id": batch["batch_id"]}).json())
    assert {poll["total"] for poll in polls} == {3}
    counts = [poll["completed"] for poll in polls]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1], any(0 < count < 3 for count in counts)) == (0, 3, True)
    done = polls[-1]
    price = 2 * sum(len(text["text"]) for text in texts)
    assert done["credits_charged"] == sum(item["credits"] for item in done["items"]) == price
    for item in done["items"]:
        job = send("GET", "/v1/speech/results/", params={"uuid": item["uuid"]}).json()
        assert (job["status"], job["result_url"]) == ("completed", item["url"])
        assert decode(httpx.get(item["url"]).content).container == "wav"


def test_a_batch_with_one_invalid_item_is_rejected_as_a_whole(send) -> None:
    texts = [{"text": "Fine.", "model": "kokoro", "voice": "af_bella"}, {"text": "", "model": "kokoro", "voice": "x"}]
    assert send("POST", "/v1/tts/batch/", json={"texts": texts}).status_code == 400
    texts[1] = {"text": "Who?", "model": "no-such-model", "voice": "x"}
    assert send("POST", "/v1/tts/batch/", json={"texts": texts}).status_code == 404


@pytest.mark.parametrize(("count", "status"), [(49, 200), (50, 200), (51, 400)])
def test_a_batch_has_fifty_items_at_most(send, count, status) -> None:
    texts = [{"text": "Fine.", "model": "kokoro", "voice": "af_bella"}] * count
    assert send("POST", "/v1/tts/batch/", json={"texts": texts}).status_code == status
