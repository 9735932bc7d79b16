"""Voices and transcripts by the official Python clients, unmodified, against the emulator over a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import voicegauge
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.formats.bodies import read_subtitles
from voicegauge.speech.decoding import decode

pytestmark = pytest.mark.slow  # test_sdk_surface.py calls each operation of the same clients
PROVIDERS = ["cartesia", "deepgram", "elevenlabs", "mistral", "openai"]


@pytest.fixture(scope="module")
def base_urls() -> Iterator[Callable[[str], str]]:
    with voicegauge.emulate(PROVIDERS, time_scale=0.02) as emulator:
        yield emulator.base_url


def recording() -> tuple[str, bytes, str]:
    return "speech.mp3", load_spoken_sentence("mp3").file.data, "audio/mpeg"


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def openai_client(base_urls: Callable[[str], str]) -> Iterator[Any]:
    import openai

    with openai.OpenAI(api_key="k", base_url=base_urls("openai"), max_retries=0) as client:
        yield client


def test_openai_transcribes_in_each_format(openai_client: Any) -> None:
    create = openai_client.audio.transcriptions.create
    text = create(model="whisper-1", file=recording()).text
    assert text
    assert create(model="whisper-1", file=recording(), response_format="text") == text
    for name in ("srt", "vtt"):
        cues = read_subtitles(create(model="whisper-1", file=recording(), response_format=name), name)
        assert " ".join(cue.text for cue in cues) == text
    verbose = create(model="whisper-1", file=recording(), response_format="verbose_json")
    assert " ".join(segment.text for segment in verbose.segments) == text
    words = create(
        model="whisper-1", file=recording(), response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert " ".join(word.word for word in words.words) == text


def test_openai_tells_speakers_apart_and_translates(openai_client: Any) -> None:
    diarized = openai_client.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize", file=recording(), response_format="diarized_json", chunking_strategy="auto"
    )
    assert all(segment.speaker for segment in diarized.segments)
    with pytest.deprecated_call():
        translated = openai_client.audio.translations.create(model="whisper-1", file=recording(), response_format="srt")
    assert read_subtitles(translated, "srt")


def test_deepgram_transcribes_a_file_and_a_url(base_urls: Callable[[str], str], http: httpx.Client) -> None:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    url = base_urls("deepgram")
    environment = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
    media = DeepgramClient(api_key="k", environment=environment, httpx_client=http).listen.v1.media
    found = media.transcribe_file(request=recording()[1], model="nova-3").results.channels[0].alternatives[0]
    assert found.transcript
    assert " ".join(word.word for word in found.words) == found.transcript
    linked = media.transcribe_url(url="https://static.deepgram.com/examples/Buoy.wav", model="nova-3")
    assert linked.results.channels[0].alternatives[0].transcript
    more = {
        "keyterm": ["kettle", "stove"],
        "redact": "pci",
        "detect_language": True,
        "utt_split": 1.2,
        "summarize": "v2",
    }
    assert media.transcribe_file(request=recording()[1], model="nova-3", **more).results.channels


def test_deepgram_lists_the_models_of_a_project(base_urls: Callable[[str], str], http: httpx.Client) -> None:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    url = base_urls("deepgram")
    environment = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
    manage = DeepgramClient(api_key="k", environment=environment, httpx_client=http).manage.v1
    (project,) = manage.projects.list().projects
    listed = manage.projects.models.list(project.project_id)
    (model,) = listed.tts
    assert manage.projects.models.get(project.project_id, model.uuid_).canonical_name == model.canonical_name


def test_a_voice_of_mistral_lives_from_creation_to_deletion(base_urls: Callable[[str], str]) -> None:
    from mistralai.client import Mistral
    from mistralai.client.errors import SDKError

    with Mistral(api_key="account", server_url=base_urls("mistral")) as client:
        assert client.models.retrieve(model_id="voxtral-mini-tts-3-0").id == "voxtral-mini-tts-3-0"
        voices = client.audio.voices
        made = voices.create(name="Anna", sample_audio="UklGRg==", languages=["en"])
        assert voices.get(voice_id=made.id).name == "Anna"
        assert voices.update(voice_id=made.id, name="Ben").name == "Ben"
        with pytest.deprecated_call():
            everything = {voice.id: voice.name for voice in voices.list(limit=100).items}
            pages = [voices.list(limit=1, offset=offset).items for offset in range(len(everything) + 1)]
        assert everything[made.id] == "Ben"
        assert [len(page) for page in pages] == [1] * len(everything) + [0]
        voices.delete(voice_id=made.id)
        with pytest.raises(SDKError):
            voices.get(voice_id=made.id)


def test_a_voice_of_elevenlabs_lives_from_creation_to_deletion(
    base_urls: Callable[[str], str], http: httpx.Client
) -> None:
    from elevenlabs.client import ElevenLabs
    from elevenlabs.core.api_error import ApiError

    client = ElevenLabs(api_key="account", base_url=base_urls("elevenlabs"), httpx_client=http)
    made = client.voices.ivc.create(name="Anna", files=[recording()])
    assert client.voices.get(made.voice_id).name == "Anna"
    client.voices.update(made.voice_id, name="Ben")
    assert client.voices.get(made.voice_id).name == "Ben"
    assert made.voice_id in {voice.voice_id for voice in client.voices.get_all().voices}
    first = client.voices.search(page_size=1)
    second = client.voices.search(page_size=1, next_page_token=first.next_page_token)
    assert first.has_more
    assert first.voices[0].voice_id != second.voices[0].voice_id
    client.voices.delete(made.voice_id)
    with pytest.raises(ApiError):
        client.voices.get(made.voice_id)


def test_cartesia_transcribes_and_changes_a_voice(base_urls: Callable[[str], str]) -> None:
    import cartesia

    with cartesia.Cartesia(api_key="account", base_url=base_urls("cartesia"), max_retries=0) as client:
        options = {"file": recording(), "model": "ink-whisper", "language": "en"}
        assert client.stt.transcribe(**options).text
        words = client.stt.transcribe(**options, timestamp_granularities=["word"]).words
        assert words[0].end <= words[-1].end
        changed = client.voice_changer.generate(
            clip=recording(),
            voice_id="f786b574-daa5-4673-aa0c-cbe3e8534c02",
            output_format_container="wav",
            output_format_encoding="pcm_s16le",
            output_format_sample_rate=16000,
        )
        assert decode(changed.read()).sample_rate_hz == 16000


def test_a_voice_and_a_dictionary_of_cartesia_live_from_creation_to_deletion(
    base_urls: Callable[[str], str],
) -> None:
    import cartesia

    with cartesia.Cartesia(api_key="account", base_url=base_urls("cartesia"), max_retries=0) as client:
        made = client.voices.clone(clip=recording(), name="Anna", language="en")
        assert client.voices.get(made.id).name == "Anna"
        assert client.voices.update(made.id, name="Ben", description="A voice").name == "Ben"
        assert made.id in [voice.id for voice in client.voices.list(limit=1)], "an iterator over pages, which ends"
        client.voices.delete(made.id)
        with pytest.raises(cartesia.NotFoundError):
            client.voices.get(made.id)
        dictionary = client.pronunciation_dicts.create(name="Names", items=[{"text": "GIF", "alias": "jif"}])
        assert client.pronunciation_dicts.update(dictionary.id, name="Words").name == "Words"
        assert client.pronunciation_dicts.retrieve(dictionary.id).name == "Words"
        client.pronunciation_dicts.delete(dictionary.id)
        assert dictionary.id not in [one.id for one in client.pronunciation_dicts.list()]


def test_elevenlabs_changes_a_voice_cleans_a_recording_and_keeps_a_history(
    base_urls: Callable[[str], str], http: httpx.Client
) -> None:
    from elevenlabs.client import ElevenLabs

    client = ElevenLabs(api_key="account", base_url=base_urls("elevenlabs"), httpx_client=http)
    voice = client.voices.search().voices[0].voice_id
    recorded = recording()
    for pieces in (
        client.speech_to_speech.convert(voice, audio=recorded, model_id="eleven_multilingual_sts_v2"),
        client.speech_to_speech.stream(voice, audio=recorded, model_id="eleven_multilingual_sts_v2"),
        client.audio_isolation.convert(audio=recorded),
        client.audio_isolation.stream(audio=recorded),
    ):
        assert decode(b"".join(pieces)).duration_s > 1
    (item,) = client.history.list().history
    assert client.history.get(item.history_item_id).text == item.text
    assert client.history.delete(item.history_item_id).status == "ok"
