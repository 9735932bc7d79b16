"""The catalog of all faults. The faults of one topic are defined beside the functions that inject them."""

from __future__ import annotations

from collections.abc import Mapping

from voicegauge.emulator.faults import (
    audio,
    bodies,
    http,
    jobs,
    parameters,
    resources,
    streams,
    timestamps,
    uploads,
    webhooks,
)
from voicegauge.emulator.faults.fault import Fault

_FAULT_MODULES = (bodies, http, parameters, audio, uploads, jobs, resources, streams, timestamps, webhooks)
FAULTS: Mapping[str, Fault] = {fault.id: fault for topic in _FAULT_MODULES for fault in topic.FAULTS}
"""All faults, with their ids as keys."""
