"""A script: Google's clients call every operation of the contract over REST. Arguments: base URL, FLAC file."""

import sys
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import speech_v1, texttospeech_v1, texttospeech_v1beta1
from google.cloud.speech_v1.services.speech.transports.rest import SpeechRestTransport
from google.cloud.texttospeech_v1.services.text_to_speech.transports.rest import TextToSpeechRestTransport
from google.cloud.texttospeech_v1beta1.services.text_to_speech.transports import rest as beta

KEY = [("x-goog-api-key", "surface")]

url, recording = sys.argv[1:]
anonymous = AnonymousCredentials()
for library, transport in (
    (texttospeech_v1, TextToSpeechRestTransport),
    (texttospeech_v1beta1, beta.TextToSpeechRestTransport),
):
    with library.TextToSpeechClient(transport=transport(host=url, credentials=anonymous)) as client:
        spoken = client.synthesize_speech(
            input=library.SynthesisInput(text="Good morning."),
            voice=library.VoiceSelectionParams(language_code="en-US", name="en-US-Standard-C"),
            audio_config=library.AudioConfig(audio_encoding=library.AudioEncoding.MP3),
            metadata=KEY,
        )
        assert spoken.audio_content
        assert client.list_voices(metadata=KEY).voices
with speech_v1.SpeechClient(transport=SpeechRestTransport(host=url, credentials=anonymous)) as client:
    audio = speech_v1.RecognitionAudio(content=Path(recording).read_bytes())
    config = speech_v1.RecognitionConfig(language_code="en-US")
    assert client.recognize(config=config, audio=audio, metadata=KEY).results
