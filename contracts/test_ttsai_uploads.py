"""TTS.ai's operations with audio input: the tables of the document, transcribed."""

from __future__ import annotations

import pytest

from voicegauge.contract.contract import AudioInputTarget, Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.price_computation import quote_price
from voicegauge.formats.locations import parse_location

MODEL = parse_location("body#/model")
MIB = 2**20


@pytest.fixture(scope="module")
def ttsai() -> Contract:
    return load_catalogue().find_provider("ttsai")


@pytest.mark.parametrize(
    ("name", "credits"),
    [
        *((f"stt-{model}", [2000]) for model in ("whisper", "faster-whisper", "sensevoice")),
        *((f"voice-{model}", [3000]) for model in ("openvoice", "knn-vc")),
        ("enhance", [2000]),
        *((f"stems-{model}", [4000, 3000]) for model in ("demucs", "spleeter")),
        ("translation", [5000]),
    ],
)
def test_prices_per_minute_are_those_of_the_table(ttsai: Contract, name: str, credits: list[float]) -> None:
    price = ttsai.audio_input_targets[name].pricing
    assert price is not None
    assert [reading.credits_per_unit for reading in (price, *price.alternatives)] == credits
    assert price.unit == "minute"
    assert quote_price(ttsai.audio_input_targets[name], 0, audio_s=30).price_credits == credits[0] / 2


@pytest.mark.parametrize("name", ["analysis", "convert"])
def test_the_key_finder_and_the_converter_are_free(ttsai: Contract, name: str) -> None:
    assert quote_price(ttsai.audio_input_targets[name], 0, audio_s=600).price_credits == 0


@pytest.mark.parametrize(
    ("operation", "megabytes", "formats"),
    [
        ("transcribe", 100, {"mp3", "wav", "flac", "ogg", "m4a", "webm"}),
        ("convertVoice", 50, {"mp3", "wav", "flac"}),
        ("translateSpeech", 100, set()),
        ("restyleSpeech", 50, set()),
    ],
)
def test_limits_of_uploads_are_those_of_the_document(
    ttsai: Contract, operation: str, megabytes: int, formats: set[str]
) -> None:
    limits = ttsai.find_operation(operation).limits.upload_limits["file"]
    assert limits.max_bytes == megabytes * MIB
    assert set(limits.accepted_formats) == formats


@pytest.mark.parametrize(
    ("operation", "field", "key", "value"),
    [
        ("transcribe", "model", "enum", ["whisper", "faster-whisper", "sensevoice"]),
        ("transcribe", "model", "default", "whisper"),
        ("transcribe", "language", "default", "auto"),
        ("transcribe", "timestamps", "default", False),
        ("transcribe", "diarize", "default", False),
        ("convertVoice", "model", "enum", ["openvoice", "knn-vc"]),
        ("convertVoice", "format", "enum", ["wav", "mp3", "flac"]),
        ("convertVoice", "format", "default", "wav"),
        ("translateSpeech", "preserve_voice", "default", False),
        ("restyleSpeech", "model", "enum", ["openvoice", "chatterbox"]),
        ("restyleSpeech", "emotion", "enum", ["neutral", "happy", "sad", "angry", "excited"]),
        ("restyleSpeech", "speed", "minimum", 0.5),
        ("restyleSpeech", "speed", "maximum", 2.0),
        ("enhanceAudio", "denoise", "default", True),
        ("enhanceAudio", "enhance_clarity", "default", True),
        ("enhanceAudio", "super_resolution", "default", False),
        ("enhanceAudio", "strength", "minimum", 1),
        ("enhanceAudio", "strength", "maximum", 3),
        ("enhanceAudio", "strength", "default", 2),
        ("separateAudio", "model", "enum", ["demucs", "spleeter"]),
        ("separateAudio", "stems", "enum", [2, 4, 5, 6]),
        ("separateAudio", "stems", "default", 2),
        ("removeEcho", "intensity", "maximum", 5),
        ("removeEcho", "intensity", "default", 3),
        ("convertAudio", "format", "enum", ["mp3", "wav", "flac", "ogg", "m4a", "aac"]),
        ("convertAudio", "bitrate", "enum", [64, 128, 192, 256, 320]),
        ("convertAudio", "sample_rate", "enum", [22050, 44100, 48000]),
        ("convertAudio", "channels", "enum", ["mono", "stereo"]),
    ],
)
def test_defaults_bounds_and_choices(ttsai: Contract, operation: str, field: str, key: str, value: object) -> None:
    (media,) = ttsai.find_operation(operation).request_media.values()
    assert media.name == "multipart/form-data"
    assert media.schema["properties"][field][key] == value


def test_every_error_code_is_documented_for_each(ttsai: Contract) -> None:
    for target in ttsai.audio_input_targets.values():
        statuses = {int(status) for status in target.operation.responses if not status.startswith("2")}
        assert statuses == {400, 401, 402, 403, 404, 413, 429, 500, 503}


def test_a_lost_path_is_marked_as_inferred(ttsai: Contract) -> None:
    named = {"/v1/stt/", "/v1/voice-convert/", "/v1/audio/enhance/"}
    for target in ttsai.audio_input_targets.values():
        inferred = target.operation.part_data["x-source"].get("is_inferred", False)
        assert inferred is (target.operation.path not in named), target.operation.path


def test_an_operation_has_a_target_for_each_of_its_models(ttsai: Contract) -> None:
    by_operation: dict[str, list[AudioInputTarget]] = {}
    for target in ttsai.audio_input_targets.values():
        by_operation.setdefault(target.operation.id, []).append(target)
    for operation_id, targets in by_operation.items():
        (media,) = ttsai.find_operation(operation_id).request_media.values()
        models = media.schema["properties"].get("model", {}).get("enum")
        if models is not None:
            assert [target.target_spec.request_constants[MODEL] for target in targets] == models
