"""Defines the objects that all endpoints of one provider share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from voicegauge.contract import Contract
from voicegauge.emulator.endpoints.downloads import AudioDownloads
from voicegauge.emulator.endpoints.job_store import JobStore
from voicegauge.emulator.endpoints.resources import ResourceStore
from voicegauge.emulator.faults import FaultInjector
from voicegauge.emulator.responses import ResponseBuilder
from voicegauge.emulator.settings import EmulatorSettings
from voicegauge.emulator.state import AccountRegistry, EmulatedClock


@dataclass(frozen=True)
class EndpointContext:
    """Contract, settings and state of one emulated provider, for use by the endpoints."""

    contract: Contract
    settings: EmulatorSettings
    clock: EmulatedClock
    fault_injector: FaultInjector
    response_builder: ResponseBuilder
    accounts: AccountRegistry
    job_store: JobStore
    resources: ResourceStore
    downloads: AudioDownloads
    upload_lock: asyncio.Lock
    """Held while an uploaded recording is decoded and processed, because its samples may take hundreds of megabytes.
    All providers share it."""
