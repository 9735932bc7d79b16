"""Recordings of other tools as ours: VCR cassettes, HAR files of browsers and proxies, huggingface.js tapes."""

from voicegauge.recording.importing.convert import ImportedRecording, ImportRemark, import_recording, is_recording

__all__ = [
    "ImportRemark",
    "ImportedRecording",
    "import_recording",
    "is_recording",
]
