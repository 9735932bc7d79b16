"""A script: Google's clients call every operation of the contract over REST. Arguments: base URL, FLAC file."""

import sys
from pathlib import Path

from google.auth.api_key import Credentials
from google.cloud import speech_v1, texttospeech_v1, texttospeech_v1beta1
from google.cloud.speech_v1.services.speech.transports.rest import SpeechRestTransport
from google.cloud.texttospeech_v1.services.text_to_speech.transports.rest import TextToSpeechRestTransport
from google.cloud.texttospeech_v1.services.text_to_speech_long_audio_synthesize.transports import rest as long_audio
from google.cloud.texttospeech_v1beta1.services.text_to_speech.transports import rest as beta

url, recording = sys.argv[1:]
key = Credentials("surface")
for library, transport in (
    (texttospeech_v1, TextToSpeechRestTransport),
    (texttospeech_v1beta1, beta.TextToSpeechRestTransport),
):
    with library.TextToSpeechClient(transport=transport(host=url, credentials=key)) as client:
        spoken = client.synthesize_speech(
            input=library.SynthesisInput(text="Good morning."),
            voice=library.VoiceSelectionParams(language_code="en-US", name="en-US-Standard-C"),
            audio_config=library.AudioConfig(audio_encoding=library.AudioEncoding.MP3),
        )
        assert spoken.audio_content
        assert client.list_voices().voices
with speech_v1.SpeechClient(transport=SpeechRestTransport(host=url, credentials=key)) as client:
    audio = speech_v1.RecognitionAudio(content=Path(recording).read_bytes())
    config = speech_v1.RecognitionConfig(language_code="en-US")
    assert client.recognize(config=config, audio=audio).results
    assert client.long_running_recognize(config=config, audio=audio).result(timeout=60).results
transport = long_audio.TextToSpeechLongAudioSynthesizeRestTransport(host=url, credentials=key)
with texttospeech_v1.TextToSpeechLongAudioSynthesizeClient(transport=transport) as client:
    request = texttospeech_v1.SynthesizeLongAudioRequest(
        parent="projects/surface/locations/global",
        input=texttospeech_v1.SynthesisInput(text="Good morning."),
        voice=texttospeech_v1.VoiceSelectionParams(language_code="en-US", name="en-US-Standard-C"),
        audio_config=texttospeech_v1.AudioConfig(audio_encoding=texttospeech_v1.AudioEncoding.LINEAR16),
        output_gcs_uri="gs://bucket/morning.wav",
    )
    operation = client.synthesize_long_audio(request)
    operation.result(timeout=60)
    assert operation.metadata.progress_percentage == 100
