"""Imports recordings of other tools: VCR cassettes, HAR files of browsers and proxies, and huggingface.js tapes."""

from voicegauge.recording.importing.document_inference import InferredApi, infer_api
from voicegauge.recording.importing.file_formats import is_recording
from voicegauge.recording.importing.import_recording import ImportedRecording, ImportRemark, import_recording
from voicegauge.recording.importing.recorded_exchanges import read_recorded_exchanges
from voicegauge.recording.importing.recorded_requests import ImportedRequest, read_requests

__all__ = [
    "ImportRemark",
    "ImportedRecording",
    "ImportedRequest",
    "InferredApi",
    "import_recording",
    "infer_api",
    "is_recording",
    "read_recorded_exchanges",
    "read_requests",
]
