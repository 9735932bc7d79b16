"""Every operation that the documents describe is in a contract, emulated and checked.

The table is transcribed from the documents, section by section. A path is given where the
document prints one; a section whose path was lost when its page was saved has none.
"""

from __future__ import annotations

import json

import pytest

from voicegauge.cli import cli
from voicegauge.rules.registry import RULE_BY_ID

TRANSCRIPTION = "openai-compatible-transcription"
# document, its section, provider, operation, method, path as printed
DOCUMENTED = [
    ("pixazo-xtts-v2.txt", "XTTS v2", "pixazo", "generateXtts", "POST", "/voice-clone/v1/xtts-v2/generate"),
    ("pixazo-xtts-v2.txt", "Status", "pixazo", "getRequestStatus", "GET", "/v2/requests/status/{request_id}"),
    (
        *("pixazo-chatterbox.md", "Chatterbox", "pixazo", "generateChatterbox", "POST"),
        "/chatterbox-text-to-speech/v1/chatterbox-text-to-speech-request",
    ),
    ("pixazo-chatterbox.md", "Status", "pixazo", "getRequestStatus", "GET", "/v2/requests/status/{request_id}"),
    (
        "pixazo-vibevoice.md",
        "VibeVoice",
        "pixazo",
        "generateVibevoice",
        "POST",
        "/vibevoice/v1/vibevoice/generateRequest",
    ),
    (
        *("pixazo-vibevoice.md", "VibeVoice-Realtime-0.5B", "pixazo", "generateVibevoiceRealtime", "POST"),
        "/vibevoice-realtime-0-5b-135/v1/vibevoice-realtime-0-5b-request",
    ),
    ("pixazo-vibevoice.md", "Status", "pixazo", "getRequestStatus", "GET", "/v2/requests/status/{request_id}"),
    ("pixelapi.txt", "Generate, two modes", "pixelapi", "generateSpeech", "POST", "/v1/tts/generate"),
    ("pixelapi.txt", "Status", "pixelapi", "getSpeechStatus", "GET", "/v1/tts/status/{id}"),
    ("ttsai.txt", "Text to Speech", "ttsai", "submitSpeech", "POST", "/v1/tts/"),
    ("ttsai.txt", "Poll for result", "ttsai", "getSpeechResult", "GET", "/v1/speech/results/"),
    ("ttsai.txt", "Download audio", "ttsai", "downloadSpeech", "GET", "/static/downloads/{uuid}/{file}"),
    ("ttsai.txt", "OpenAI-compatible format", "ttsai", "createSpeech", "POST", None),
    ("ttsai.txt", "Streaming alternative", "ttsai", "streamSpeech", "POST", "/v1/tts/stream/"),
    ("ttsai.txt", "Speech to Text", "ttsai", "transcribe", "POST", "/v1/stt/"),
    ("ttsai.txt", "Voice Cloning", "ttsai", "cloneVoice", "POST", "/v1/tts/clone/"),
    ("ttsai.txt", "Voice Changer", "ttsai", "convertVoice", "POST", "/v1/voice-convert/"),
    ("ttsai.txt", "Speech Translation", "ttsai", "translateSpeech", "POST", None),
    ("ttsai.txt", "Speech Translation, its audio_url", "ttsai", "downloadResult", "GET", None),
    ("ttsai.txt", "Speech to Speech", "ttsai", "restyleSpeech", "POST", None),
    ("ttsai.txt", "Audio Tools, enhance", "ttsai", "enhanceAudio", "POST", "/v1/audio/enhance/"),
    ("ttsai.txt", "Audio Tools, separate", "ttsai", "separateAudio", "POST", None),
    ("ttsai.txt", "Audio Tools, echo and reverb", "ttsai", "removeEcho", "POST", None),
    ("ttsai.txt", "Audio Tools, key and BPM", "ttsai", "analyzeAudio", "POST", None),
    ("ttsai.txt", "Audio Tools, convert", "ttsai", "convertAudio", "POST", None),
    ("ttsai.txt", "Voice Chat", "ttsai", "chat", "POST", None),
    ("ttsai.txt", "Batch TTS", "ttsai", "submitBatch", "POST", None),
    ("ttsai.txt", "Batch TTS, poll progress", "ttsai", "getBatchResult", "GET", "/v1/tts/batch/result/"),
    ("ttsai.txt", "Voice Embedding", "ttsai", "createEmbedding", "POST", None),
    ("ttsai.txt", "Health Check", "ttsai", "getHealth", "GET", None),
    ("ttsai.txt", "List Models", "ttsai", "listModels", "GET", None),
    ("ttsai.txt", "List Voices", "ttsai", "listVoices", "GET", "/v1/voices/"),
    ("ttsai.txt", "Upload a voice", "ttsai", "createUserVoice", "POST", "/v1/user-voices/"),
    ("ttsai.txt", "List saved voices", "ttsai", "listUserVoices", "GET", "/v1/user-voices/"),
    ("ttsai.txt", "Delete a saved voice", "ttsai", "deleteUserVoice", "DELETE", "/v1/user-voices/"),
    ("ttsai.txt", "Archive", "ttsai", "archiveUserVoice", "POST", "/v1/user-voices/{public_id}/archive/"),
    ("ttsai.txt", "Reactivate", "ttsai", "reactivateUserVoice", "POST", "/v1/user-voices/{public_id}/reactivate/"),
    ("openapi.yaml", "Create speech", "openai", "createSpeech", "POST", "/audio/speech"),
    ("openapi.yaml", "List models", "openai", "listModels", "GET", "/models"),
    ("openapi.yaml", "Create transcription", "openai", "createTranscription", "POST", "/audio/transcriptions"),
    ("openapi.yaml", "Create translation", "openai", "createTranslation", "POST", "/audio/translations"),
    ("openapi.yaml", "Retrieve model", "openai", "retrieveModel", "GET", "/models/{model}"),
    ("openapi.yaml", "Voice consents", "openai", "listVoiceConsents", "GET", "/audio/voice_consents"),
    ("openapi.yaml", "Voice consents", "openai", "getVoiceConsent", "GET", "/audio/voice_consents/{consent_id}"),
    ("openapi.yaml", "Voice consents", "openai", "updateVoiceConsent", "POST", "/audio/voice_consents/{consent_id}"),
    ("openapi.yaml", "Voice consents", "openai", "deleteVoiceConsent", "DELETE", "/audio/voice_consents/{consent_id}"),
    ("openapi.yaml", "Create speech", "openai-compatible", "createSpeech", "POST", "/audio/speech"),
    ("openapi.yaml", "List models", "openai-compatible", "listModels", "GET", "/models"),
    ("kokoro-fastapi.py", "List voices", "openai-compatible", "listVoices", "GET", "/audio/voices"),
    ("supertonic-server.py", "List voices", "openai-compatible", "listVoicesOutsideAudio", "GET", "/voices"),
    ("openapi.yaml", "Transcribe", TRANSCRIPTION, "createTranscription", "POST", "/audio/transcriptions"),
    ("openapi.yaml", "List models", TRANSCRIPTION, "listModels", "GET", "/models"),
]
# document, provider, operation whose request names the URL: what the provider sends by itself
SENT = [
    ("pixazo-xtts-v2.txt", "pixazo", "generateXtts"),
    ("pixazo-chatterbox.md", "pixazo", "generateChatterbox"),
    ("pixazo-vibevoice.md", "pixazo", "generateVibevoice"),
    ("pixazo-vibevoice.md", "pixazo", "generateVibevoiceRealtime"),
    ("ttsai.txt", "ttsai", "submitBatch"),
    ("ttsai.txt", "ttsai", "separateAudio"),
]


@pytest.fixture(scope="module")
def listed() -> dict[tuple[str, str], dict]:
    from click.testing import CliRunner

    result = CliRunner().invoke(cli, ["providers", "--json", "-"])
    assert result.exit_code == 0
    rows = json.loads(result.stdout)["providers"]
    operations = {(row["id"], operation["id"]): operation for row in rows for operation in row["operations"]}
    # WebSockets are described in asyncapi.yaml; the table is of operations over HTTP.
    return {names: operation for names, operation in operations.items() if operation["method"] != "WebSocket"}


def test_exactly_the_documented_operations_are_listed(listed) -> None:
    transcribed = {(provider, operation) for _, _, provider, operation, _, _ in DOCUMENTED}
    providers = {provider for provider, _ in transcribed}
    assert transcribed == {(provider, operation) for provider, operation in listed if provider in providers}


@pytest.mark.parametrize(("document", "section", "provider", "operation", "method", "path"), DOCUMENTED)
def test_every_documented_operation_is_listed(listed, document, section, provider, operation, method, path) -> None:
    row = listed[provider, operation]
    assert row["method"] == method
    assert row["path"] == path or path is None
    assert row["is_inferred"] is (path is None)
    assert row["document_name"]
    assert row["emulation_description"]
    assert set(row["rule_ids"]) <= set(RULE_BY_ID)
    assert {"status-undocumented", "server-error"} <= set(row["rule_ids"])


@pytest.mark.parametrize(("document", "provider", "operation"), SENT)
def test_callbacks_are_checked(listed, document, provider, operation) -> None:
    assert "callback-schema" in listed[provider, operation]["rule_ids"]


def test_rules_depend_on_the_contract_of_an_operation(listed) -> None:
    def checks(operation: str) -> set[str]:
        return set(listed["ttsai", operation]["rule_ids"])

    assert {"resource-used-after-delete", "resource-state-ignored", "job-stuck"} <= checks("submitSpeech")
    assert "resource-listed-after-delete" in checks("listUserVoices")
    assert {"batch-count-wrong", "job-transition-illegal"} <= checks("getBatchResult")
    assert "audio-silent" in checks("createSpeech")
    assert not checks("getHealth") & {"auth-not-enforced", "job-stuck", "request-schema"}
    assert not checks("listVoices") & {"audio-silent", "resource-not-listed", "charge-wrong"}


def test_disputed_facts_are_listed(listed) -> None:
    assert any("/api/v1/voice-clone/" in claim for claim in listed["ttsai", "cloneVoice"]["disputes"])
    assert listed["ttsai", "getHealth"]["disputes"] == []
