"""Records a provider's responses, converts recordings, judges the traffic of a client, and receives webhooks."""

from __future__ import annotations

from voicegauge.api.traffic.conversion import Conversion, ConvertedFile, convert, convert_all
from voicegauge.api.traffic.record_result import FileToOverwrite, RecordedFile, RecordResult
from voicegauge.api.traffic.recording import record
from voicegauge.api.traffic.running_proxy import RunningProxy, proxy
from voicegauge.api.traffic.webhook_listening import ListenResult, listen

__all__ = [
    "Conversion",
    "ConvertedFile",
    "FileToOverwrite",
    "ListenResult",
    "RecordResult",
    "RecordedFile",
    "RunningProxy",
    "convert",
    "convert_all",
    "listen",
    "proxy",
    "record",
]
