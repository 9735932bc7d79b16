"""Every operation of the large providers' contracts is called by the official client, or listed with the reason.

The clients are unmodified and speak with the emulator over a real socket, whose journal has the operations they called.
Google and Azure are called over plain HTTP here, and by their own clients in test_cloud_sdks.py. Rime and xAI have no
client for speech over HTTP: their documents show requests.
What the responses contain is tested beside this file, by client.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest

import voicegauge
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.process import RunningEmulator
from voicegauge.speech.containers import sniff_container

TEXT = "Good morning. This is a short test."
IN_NODE = "The client for Python lacks it; the client for Node calls it (test_node_sdk_surface.py)."
NOT_OFFERED = {
    "inworld/transcribeAudio": "The client has no transcription.",
    "inworld/synthesizeSpeechAsync": "The client speaks no text in the background.",
    "inworld/getOperation": "The client speaks no text in the background.",
    "elevenlabs/listAccents": IN_NODE,
    "elevenlabs/listIsolations": IN_NODE,
    "elevenlabs/convertSpeech": f"{IN_NODE} The client for Python has another path, which is an operation too.",
    "elevenlabs/streamConvertedSpeech": f"{IN_NODE} The client for Python has another path, which is an operation too.",
}
"""Operations that the official client for Python lacks, with the reason."""
PLAIN_HTTP = ("google", "azure", "rime", "xai")
"""Providers whose operations are called without a client here."""
FEW_CLIENTS = ("openai", "cartesia")
"""Providers in the fast tests."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningEmulator]:
    with voicegauge.emulate(list(CLIENTS), time_scale=0.02) as running:
        yield running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


def recording() -> tuple[str, bytes, str]:
    return "speech.mp3", load_spoken_sentence("mp3").file.data, "audio/mpeg"


def call_openai(url: str, _: httpx.Client) -> None:
    import openai

    with openai.OpenAI(api_key="k", base_url=url, max_retries=0) as client:
        assert client.audio.speech.create(model="tts-1", input=TEXT, voice="alloy").content
        assert client.audio.transcriptions.create(model="whisper-1", file=recording()).text
        assert client.audio.translations.create(model="whisper-1", file=recording()).text
        model = next(iter(client.models.list()))
        assert client.models.retrieve(model.id).id == model.id
        consents = client.audio.voice_consents
        (consent,) = consents.list()
        assert consents.retrieve(consent.id) == consent
        assert consents.update(consent.id, name="Ben").name
        assert consents.delete(consent.id).deleted


def call_elevenlabs(url: str, http: httpx.Client) -> None:
    from elevenlabs.client import ElevenLabs

    client = ElevenLabs(api_key="surface", base_url=url, httpx_client=http)
    voice = client.voices.search().voices[0].voice_id
    speech = {"text": TEXT, "model_id": "eleven_multilingual_v2"}
    turns = [{"text": TEXT, "voice_id": voice}]
    for pieces in (
        client.text_to_speech.convert(voice, **speech),
        client.text_to_speech.stream(voice, **speech),
        client.text_to_dialogue.convert(inputs=turns),
        client.text_to_dialogue.stream(inputs=turns),
        client.speech_to_speech.convert(voice, audio=recording(), model_id="eleven_multilingual_sts_v2"),
        client.audio_isolation.convert(audio=recording()),
        client.audio_isolation.stream(audio=recording()),
        client.text_to_sound_effects.convert(text="A door closes", duration_seconds=1),
    ):
        assert b"".join(pieces)
    changed = client.speech_to_speech.stream(
        voice, audio=recording(), model_id="eleven_multilingual_sts_v2", output_format="pcm_16000"
    )
    spoken_s = len(b"".join(changed)) / 2 / 16_000
    assert spoken_s == pytest.approx(load_spoken_sentence("mp3").audio_duration_s, abs=0.1)
    assert client.text_to_speech.convert_with_timestamps(voice, text=TEXT).alignment
    assert list(client.text_to_speech.stream_with_timestamps(voice, text=TEXT))
    assert client.speech_to_text.convert(model_id="scribe_v2", file=recording()).text
    assert client.forced_alignment.create(file=recording(), text=TEXT).words
    description = "A calm old man with a deep voice and a British accent"
    assert client.text_to_voice.design(voice_description=description, auto_generate_text=True).previews
    assert client.text_to_voice.create_previews(voice_description=description, auto_generate_text=True).previews
    assert client.models.list()
    assert client.user.subscription.get().character_limit
    (item,) = client.history.list().history
    assert client.history.get(item.history_item_id)
    assert b"".join(client.history.get_audio(item.history_item_id))
    assert client.history.delete(item.history_item_id)
    made = client.voices.ivc.create(name="Anna", files=[recording()]).voice_id
    assert client.voices.get_all().voices
    assert client.voices.get(made)
    assert client.voices.update(made, name="Ben")
    assert client.voices.settings.get_default()
    assert client.voices.settings.get(made)
    assert client.voices.settings.update(made, request={"stability": 0.4})
    assert client.voices.delete(made)
    assert client.pronunciation_dictionaries.list() is not None
    (dub,) = client.dubbing.list().dubs
    assert client.dubbing.get(dub.dubbing_id)
    assert b"".join(client.dubbing.audio.get(dub.dubbing_id, "es"))
    assert client.dubbing.transcript.get_transcript_for_dub(dub.dubbing_id, "es", format_type="json").utterances
    for format_type, beginning in {"srt": "1\n00:00:01,000 --> ", "webvtt": "WEBVTT\n"}.items():
        path = f"{url}/v1/dubbing/{dub.dubbing_id}/transcript/es"
        text = http.get(path, params={"format_type": format_type}, headers={"xi-api-key": "surface"})
        assert text.text.startswith(beginning)
        assert text.headers["Content-Type"].startswith("text/plain")
    assert client.dubbing.delete(dub.dubbing_id)
    assert client.text_to_dialogue.convert_with_timestamps(inputs=turns).alignment
    assert list(client.text_to_dialogue.stream_with_timestamps(inputs=turns))
    assert client.speech_to_text.transcripts.get("jkYQxAJaMGpGzLxV5r9m")
    client.speech_to_text.transcripts.delete("jkYQxAJaMGpGzLxV5r9m")
    call_voices_of_elevenlabs(client, voice)


def call_voices_of_elevenlabs(client: Any, voice: str) -> None:
    (shared,) = client.voices.get_shared().voices
    assert client.voices.share(shared.public_owner_id, voice, new_name="Anna").voice_id
    assert client.voices.find_similar_voices(audio_file=recording()).voices
    sample = "VW7YKqPnjY4h39yTbx2L"
    assert b"".join(client.voices.samples.audio.get(voice, sample))
    assert client.samples.delete(voice, sample)
    pvc, made = client.voices.pvc, client.voices.pvc.create(name="Anna", language="en").voice_id
    assert pvc.update(made, name="Ben").voice_id == made
    assert pvc.samples.create(voice, files=[recording()])
    assert pvc.samples.update(voice, sample, remove_background_noise=True)
    assert pvc.samples.audio.get(voice, sample)
    assert pvc.samples.delete(voice, sample)
    pvc.verification.captcha.get(voice)
    assert pvc.verification.captcha.verify(voice, recording=recording())
    assert pvc.verification.request(voice, files=[recording()])
    assert pvc.train(voice)
    assert client.text_to_voice.remix(voice, voice_description="A voice with a higher pitch").previews
    assert b"".join(client.text_to_voice.preview.stream("37HceQefKmEi3bGovXjL"))
    words = client.pronunciation_dictionaries
    dictionary, rule = "21m00Tcm4TlvDq8ikWAM", {"type": "alias", "string_to_replace": "GIF", "alias": "jif"}
    assert words.get(dictionary).rules
    assert words.update(dictionary, name="Words").id == dictionary
    assert words.rules.add(dictionary, rules=[rule]).version_id
    assert words.rules.set(dictionary, rules=[rule]).version_id
    assert words.rules.remove(dictionary, rule_strings=["GIF"]).version_id
    assert b"".join(words.download(dictionary, "5xM3yVvZQKV0EfqQpLrJ"))


def call_deepgram(url: str, http: httpx.Client) -> None:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    environment = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
    client = DeepgramClient(api_key="k", environment=environment, httpx_client=http)
    assert b"".join(client.speak.v1.audio.generate(text=TEXT))
    assert b"".join(client.speak.v2.audio.generate(text=TEXT, model="flux-haley-en"))
    assert client.listen.v1.media.transcribe_file(request=recording()[1], model="nova-3").results.channels
    models = client.manage.v1.models.list()
    assert client.manage.v1.models.get(models.tts[0].uuid_)
    project = client.manage.v1.projects.list().projects[0].project_id
    uuid = client.manage.v1.projects.models.list(project).tts[0].uuid_
    assert client.manage.v1.projects.models.get(project, uuid)


def call_cartesia(url: str, _: httpx.Client) -> None:
    import cartesia

    katie = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
    wav = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 24000}
    with cartesia.Cartesia(api_key="surface", base_url=url, max_retries=0) as client:
        speech = {"model_id": "sonic-3", "transcript": TEXT, "voice": {"mode": "id", "id": katie}}
        assert client.tts.generate(**speech, output_format=wav).read()
        raw = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
        assert list(client.tts.generate_sse(**speech, output_format=raw))
        filled = client.tts.infill(
            left_audio=recording(),
            model_id="sonic-3",
            language="en",
            transcript="and",
            voice_id=katie,
            output_format=wav,
        )
        assert filled.read()
        assert client.stt.transcribe(file=recording(), model="ink-whisper", language="en").text
        wav_of_changer = {f"output_format_{name}": value for name, value in wav.items()}
        changed = client.voice_changer.generate(clip=recording(), voice_id=katie, **wav_of_changer)
        assert sniff_container(changed.read()) == "wav"
        raw_of_changer = {f"output_format_{name}": value for name, value in raw.items()}
        *chunks, end = client.voice_changer.generate_sse(clip=recording(), voice_id=katie, **raw_of_changer)
        assert {chunk.sample_rate for chunk in chunks} == {24_000}
        spoken = np.frombuffer(b"".join(base64.b64decode(chunk.data) for chunk in chunks), "<i2") / 2**15
        assert end.done
        # The same speech with another voice, which is as long.
        assert load_spoken_sentence("mp3").audio_duration_s == pytest.approx(len(spoken) / 24_000, abs=0.1)
        assert float(np.std(spoken)) > 0.01
        made = client.voices.clone(clip=recording(), name="Anna", language="en").id
        localized = client.voices.localize(voice_id=made, name="Anne", accent="parisian", language="fr").id
        assert {made, localized} <= {voice.id for voice in client.voices.list()}
        assert client.voices.get(localized).id == localized
        assert client.voices.update(made, name="Ben", description="A voice").name == "Ben"
        for voice in (made, localized):
            client.voices.delete(voice)
        words = client.pronunciation_dicts.create(name="Names", items=[{"text": "GIF", "alias": "jif"}]).id
        assert client.pronunciation_dicts.update(words, name="Words")
        assert client.pronunciation_dicts.retrieve(words)
        assert words in [one.id for one in client.pronunciation_dicts.list()]
        client.pronunciation_dicts.delete(words)


def call_mistral(url: str, _: httpx.Client) -> None:
    from mistralai.client import Mistral

    with Mistral(api_key="surface", server_url=url) as client:
        voices = client.audio.voices
        assert client.audio.speech.complete(model="voxtral-mini-tts-3-0", input=TEXT, voice_id="gb_jane_neutral")
        file = {"file_name": "speech.mp3", "content": recording()[1]}
        assert client.audio.transcriptions.complete(model="voxtral-mini-2602", file=file).text
        assert client.models.list().data
        assert client.models.retrieve(model_id="voxtral-mini-tts-3-0")
        made = voices.create(name="Anna", sample_audio="UklGRg==", languages=["en"]).id
        assert voices.get(voice_id=made)
        assert voices.update(voice_id=made, name="Ben")
        assert voices.get_sample_audio(voice_id=made).read()
        with pytest.deprecated_call():
            assert voices.list(limit=100).items
        assert voices.delete(voice_id=made)


async def call_inworld(url: str, _: httpx.Client) -> None:
    from inworld_tts import InworldTTS

    client = InworldTTS(api_key="surface", base_url=url, max_retries=0)
    assert client.generate(TEXT, voice="Ashley", model="inworld-tts-2")
    assert [piece async for piece in client.stream(TEXT, voice="Ashley", model="inworld-tts-2")]
    assert client.list_voices()
    prompt = "A calm old man with a deep voice and a British accent"
    [preview] = client.design_voice(design_prompt=prompt, preview_text=TEXT)["previewVoices"]
    assert client.publish_voice(preview["voiceId"], display_name="Anna")
    made = client.clone_voice([recording()[1]], display_name="Anna")["voice"]["voiceId"]
    assert client.get_voice(made)
    assert client.update_voice(made, display_name="Ben")
    client.delete_voice(made)


def call_google(url: str, http: httpx.Client) -> None:
    http.headers["X-Goog-Api-Key"] = "k"
    body = {
        "input": {"text": TEXT},
        "voice": {"languageCode": "en-US", "name": "en-US-Standard-C"},
        "audioConfig": {"audioEncoding": "MP3"},
    }
    for version in ("v1", "v1beta1"):
        assert http.post(f"{url}/{version}/text:synthesize", json=body).json()["audioContent"]
        assert http.get(f"{url}/{version}/voices").json()["voices"]
    flac = base64.b64encode(load_spoken_sentence("flac").file.data).decode()
    request = {"config": {"languageCode": "en-US"}, "audio": {"content": flac}}
    assert http.post(f"{url}/v1/speech:recognize", json=request).json()["results"]
    name = http.post(f"{url}/v1/speech:longrunningrecognize", json=request).json()["name"]
    assert follow(http, f"{url}/v1/operations/{name}")["response"]["results"]
    long = {**body, "audioConfig": {"audioEncoding": "LINEAR16"}, "outputGcsUri": "gs://bucket/morning.wav"}
    parent = "projects/surface/locations/global"
    name = http.post(f"{url}/v1/{parent}:synthesizeLongAudio", json=long).json()["name"]
    assert follow(http, f"{url}/v1/{name}")["response"]


def follow(http: httpx.Client, operation_url: str) -> dict[str, Any]:
    """Return the operation when it is done."""
    while not (operation := http.get(operation_url).raise_for_status().json()).get("done"):
        time.sleep(0.05)
    return operation


def call_azure(url: str, http: httpx.Client) -> None:
    http.headers["Ocp-Apim-Subscription-Key"] = "k"
    ssml = f"<speak version='1.0' xml:lang='en-US'><voice name='en-US-AvaMultilingualNeural'>{TEXT}</voice></speak>"
    headers = {
        "Content-Type": "application/ssml+xml",
        "X-Microsoft-OutputFormat": "riff-24khz-16bit-mono-pcm",
        "User-Agent": "t",
    }
    assert http.post(f"{url}/cognitiveservices/v1", content=ssml, headers=headers).is_success
    assert http.get(f"{url}/cognitiveservices/voices/list").json()
    assert http.post(f"{url}/sts/v1.0/issueToken").text
    transcript = http.post(
        f"{url}/speechtotext/transcriptions:transcribe",
        params={"api-version": "2024-11-15"},
        files={"audio": recording(), "definition": (None, '{"locales":["en-US"]}')},
    )
    assert transcript.json()["combinedPhrases"]
    batches, version = f"{url}/texttospeech/batchsyntheses", {"api-version": "2024-04-01"}
    (batch,) = http.get(batches, params=version).json()["value"]
    assert http.get(f"{batches}/{batch['id']}", params=version).is_success
    assert http.get(f"{url}/texttospeech/operations/{batch['id']}", params=version).json()["status"]
    assert http.delete(f"{batches}/{batch['id']}", params=version).is_success


def call_lmnt(url: str, _: httpx.Client) -> None:
    import lmnt

    with lmnt.Lmnt(api_key="surface", base_url=url, max_retries=0) as client:
        assert client.speech.generate(text=TEXT, voice="leah").read()
        assert client.speech.generate_detailed(text=TEXT, voice="leah").audio
        made = client.voices.create(name="Anna", file=recording()).id
        assert made in {voice.id for voice in client.voices.list()}
        assert client.voices.retrieve(made).name
        assert client.voices.update(made, name="Bea").voice.name == "Bea"
        assert client.voices.delete(made).success


def call_murf(url: str, http: httpx.Client) -> None:
    from murf import Murf
    from murf.environment import MurfEnvironment

    environment = MurfEnvironment(**dict.fromkeys(vars(MurfEnvironment.DEFAULT), url))
    client = Murf(api_key="surface", environment=environment, httpx_client=http)
    assert client.text_to_speech.generate(text=TEXT, voice_id="en-US-natalie").audio_file
    assert b"".join(client.text_to_speech.stream(text=TEXT, voice_id="en-US-natalie"))
    assert client.text_to_speech.get_voices()
    assert client.voice_changer.convert(voice_id="en-US-natalie", file=recording()).audio_file


def call_replicate(url: str, _: httpx.Client) -> None:
    import replicate
    from replicate.version import Versions

    client = replicate.Client(api_token="r8_surface", base_url=url)
    for model in ("minimax/speech-02-turbo", "minimax/speech-02-hd", "resemble-ai/chatterbox-turbo"):
        assert client.models.predictions.create(model, input={"text": TEXT}).id
    assert client.models.predictions.create("resemble-ai/chatterbox", input={"prompt": TEXT}).id
    [kokoro] = load_catalogue().find_provider("replicate").targets["kokoro"].target_spec.request_constants.values()
    version = Versions(client, model=("jaaari", "kokoro-82m")).get(str(kokoro))
    made = client.predictions.create(version=version.id, input={"text": TEXT})
    assert client.predictions.get(made.id).status
    made.cancel()
    client._client.close()


def call_rime(url: str, http: httpx.Client) -> None:
    headers = {"Authorization": "Bearer surface", "Accept": "audio/wav"}
    body = {"text": TEXT, "speaker": "astra", "modelId": "coda", "lang": "en"}
    speech = http.post(f"{url}/v1/rime-tts", json=body, headers=headers).raise_for_status()
    assert sniff_container(speech.content) == "wav"
    body |= {"modelId": "mistv2", "lang": "eng", "audioFormat": "mp3"}
    spoken = http.post(f"{url}/v1/rime-tts", json=body, headers={**headers, "Accept": "application/json"}).json()
    assert sniff_container(base64.b64decode(spoken["audioContent"])) == "mp3"
    assert http.get(f"{url}/data/voices/all-v2.json").json()["coda"]["eng"]
    assert http.get(f"{url}/data/voices/voice_details.json").json()[0]["speaker"]


def call_xai(url: str, http: httpx.Client) -> None:
    http.headers["Authorization"] = "Bearer surface"
    voices = http.get(f"{url}/v1/tts/voices").json()["voices"]
    body = {"text": TEXT, "voice_id": voices[0]["voice_id"], "language": "en", "output_format": {"codec": "wav"}}
    speech = http.post(f"{url}/v1/tts", json=body).raise_for_status()
    assert sniff_container(speech.content) == "wav"
    assert http.post(f"{url}/v1/stt", files={"file": recording()}).json()["text"]


CLIENTS: dict[str, Callable[[str, httpx.Client], Any]] = {
    "openai": call_openai,
    "elevenlabs": call_elevenlabs,
    "deepgram": call_deepgram,
    "cartesia": call_cartesia,
    "mistral": call_mistral,
    "inworld": call_inworld,
    "google": call_google,
    "azure": call_azure,
    "lmnt": call_lmnt,
    "murf": call_murf,
    "replicate": call_replicate,
    "rime": call_rime,
    "xai": call_xai,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    # Importing a client takes up to a second.
    "provider",
    [pytest.param(name, marks=() if name in FEW_CLIENTS else pytest.mark.slow) for name in CLIENTS],
)
def test_the_official_client_calls_every_operation(
    provider: str, emulator: RunningEmulator, http: httpx.Client, request: pytest.FixtureRequest
) -> None:
    called = CLIENTS[provider](emulator.base_url(provider), http)
    if inspect.isawaitable(called):
        asyncio.run(_wait_for(called))
    journal = httpx.get(f"{emulator.control_url}/journal").json()
    met = {entry["operation"] for entry in journal if entry["provider"] == provider and entry["status"] < 300}
    lacking = {name.partition("/")[2] for name in NOT_OFFERED if name.startswith(f"{provider}/")}
    operations = set(load_catalogue().find_provider(provider).operations)
    client = "plain HTTP" if provider in PLAIN_HTTP else "Python"
    request.node.user_properties.append(
        (f"{provider} by {client}", " ".join(sorted(met)))
    )  # benchmarks/surface reads it
    assert operations - met == lacking
    assert lacking <= operations


@pytest.mark.slow
def test_what_the_client_of_inworld_lacks_is_called_as_its_documents_show(
    http: httpx.Client, request: pytest.FixtureRequest
) -> None:
    http.headers["Authorization"] = "Basic surface"
    recorded = base64.b64encode(recording()[1]).decode()
    config = {"modelId": "inworld/inworld-stt-1", "audioEncoding": "AUTO_DETECT", "language": "en-US"}
    long = {"text": TEXT, "voiceId": "Ashley", "modelId": "inworld-tts-2"}
    with voicegauge.emulate("inworld", time_scale=0.02) as own:
        url = own.base_url("inworld")
        body = {"transcribeConfig": config, "audioData": {"content": recorded}}
        assert http.post(f"{url}/stt/v1/transcribe", json=body).json()["transcription"]["transcript"]
        name = http.post(f"{url}/tts/v1/voice:synthesizeAsync", json=long).json()["name"]
        audio_url = follow(http, f"{url}/lro/v1alpha/{name}")["response"]["audioUri"]
        assert sniff_container(http.get(audio_url).content) == "mp3"
        journal = httpx.get(f"{own.control_url}/journal").json()
    met = {entry["operation"] for entry in journal if entry["status"] < 300}
    request.node.user_properties.append(("inworld by plain HTTP", " ".join(sorted(met))))
    assert met >= {name.partition("/")[2] for name in NOT_OFFERED if name.startswith("inworld/")}


async def _wait_for(awaitable: Any) -> None:
    await awaitable
