"""A script: Azure's client transcribes a file. Arguments: base URL, MP3 file."""

import sys
from pathlib import Path

from azure.ai.transcription import TranscriptionClient
from azure.ai.transcription.models import TranscriptionContent, TranscriptionOptions
from azure.core.credentials import AzureKeyCredential

url, recording = sys.argv[1:]
with TranscriptionClient(endpoint=url, credential=AzureKeyCredential("surface")) as client:
    content = TranscriptionContent(
        definition=TranscriptionOptions(locales=["en-US"]),
        audio=("speech.mp3", Path(recording).read_bytes(), "audio/mpeg"),
    )
    result = client.transcribe(content)
    assert result.combined_phrases[0].text
    assert result.duration_milliseconds
