"""Lists all faults that the emulator can inject."""

from __future__ import annotations

from collections.abc import Mapping

from voicegauge.emulator._audio_faults import AUDIO_FAULTS, TIMESTAMP_FAULTS
from voicegauge.emulator._body_faults import BODY_FAULTS
from voicegauge.emulator._fault import Fault
from voicegauge.emulator._http_faults import HTTP_FAULTS, UPLOAD_FAULTS
from voicegauge.emulator._job_faults import JOB_FAULTS, RESOURCE_FAULTS
from voicegauge.emulator._parameter_faults import PARAMETER_FAULTS
from voicegauge.emulator._stream_faults import STREAM_FAULTS
from voicegauge.emulator._webhook_faults import WEBHOOK_FAULTS

FAULTS: Mapping[str, Fault] = {
    fault.id: fault
    for faults_of_topic in (
        BODY_FAULTS,
        HTTP_FAULTS,
        PARAMETER_FAULTS,
        AUDIO_FAULTS,
        UPLOAD_FAULTS,
        JOB_FAULTS,
        RESOURCE_FAULTS,
        STREAM_FAULTS,
        TIMESTAMP_FAULTS,
        WEBHOOK_FAULTS,
    )
    for fault in faults_of_topic
}
"""All faults, with their ids as keys."""
