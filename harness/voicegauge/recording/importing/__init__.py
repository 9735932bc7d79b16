"""Imports recordings of other tools: VCR cassettes, HAR files of browsers and proxies, and huggingface.js tapes."""

from voicegauge.recording.importing.import_recording import (
    ImportedRecording,
    ImportRemark,
    import_recording,
    is_recording,
)

__all__ = [
    "ImportRemark",
    "ImportedRecording",
    "import_recording",
    "is_recording",
]
