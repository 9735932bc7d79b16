"""Recordings of the in-process emulator: the same cases, repeated with other ids, times and latencies."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from itertools import pairwise

from voicegauge.cases.valid_requests import build_valid_speech_request
from voicegauge.client.client import Client
from voicegauge.client.speech_request import RequestParts
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.contract import Contract, Target
from voicegauge.contract.loading import Catalogue
from voicegauge.drift._recorded_traffic import RecordedTraffic, interpret_recordings
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import CONTROL_PREFIX
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request
from voicegauge.recording.masking import INVALID_API_KEY
from voicegauge.recording.recorded_exchanges import Recording, UrlCanonicalizer
from voicegauge.recording.redaction import RedactionSettings, Redactor
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ...builders.contracts import build_path_value

TEXTS = ("Good morning.", "The train leaves at nine.", "One more, please.")
BASE = "http://emulator"


def all_targets(catalogue: Catalogue) -> list[Target]:
    """Every target of the bundled contracts."""
    return list(catalogue.targets.values())


async def record(target: Target, seed: int) -> tuple[Exchange, ...]:
    """Record three texts, every list of the provider, a wrong key and an unknown job."""
    contract, rng = target.contract, random.Random(seed)
    transport = Transport(app=create_app([contract], build_emulator_settings(seed=seed)))
    async with transport:
        await _later(transport, rng.uniform(0, 1e7))
        base = {"": f"{BASE}/{contract.id}"}
        client = Client(contract, transport, base_urls=base, key="emulated-key", clock=VirtualClock(), seed=seed)
        exchanges: list[Exchange] = []
        for text in TEXTS:
            delivery = await client.speak(target, build_valid_speech_request(target, text=text))
            exchanges += delivery.exchanges
            await _later(transport, rng.uniform(1, 5000))
        for operation in contract.operations.values():
            if operation.method == "GET":
                unknown = f"unknown-{rng.getrandbits(32):08x}"
                wire = RequestParts(
                    path_parameters={
                        parameter.name: build_path_value(parameter, unknown)
                        for parameter in operation.parameters
                        if parameter.message_part == "path"
                    }
                )
                exchanges.append(await client.send_operation(operation, wire))
                if operation.needs_key:
                    exchanges.append(await client.send_operation(operation, wire, key=INVALID_API_KEY))
        canonical, redactor = (
            UrlCanonicalizer(contract, base),
            Redactor(contract, RedactionSettings(secrets=("emulated-key",))),
        )
        return with_latency(
            [redactor.mask_exchange(canonical.rewrite_exchange(one)) for one in exchanges], contract, rng
        )


async def _later(transport: Transport, seconds: float) -> None:
    body = b'{"advance_s": %f}' % seconds
    request = Request(method="POST", url=f"{BASE}{CONTROL_PREFIX}/clock", body=body)
    assert (await transport.send(request, provider_id="", operation_id="")).response.status == 200


def with_latency(exchanges: Sequence[Exchange], contract: Contract, rng: random.Random) -> tuple[Exchange, ...]:
    """As if the service were slower or faster: polls between the first and the last are missed or come twice."""
    polls = {name for name, operation in contract.operations.items() if operation.job}
    found = [exchanges[0]]
    for before, one in pairwise(exchanges):
        between = before.operation in polls and before.request.url == one.request.url
        found += [before] * (between and before is found[-1] and rng.random() < 0.3)
        found.append(one)
    return tuple(found)


def recording(contract: Contract, exchanges: Sequence[Exchange]) -> Recording:
    """`exchanges` as they would be read from a file."""
    return Recording(
        provenance=Provenance.EMULATED,
        provider=contract.id,
        contract_version=contract.version,
        contract_sha256=contract.document.sha256,
        recorded_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC).isoformat(),
        exchanges=tuple(exchanges),
    )


def traffic(contract: Contract, exchanges: Sequence[Exchange], name: str = "one.har") -> RecordedTraffic:
    """`exchanges` as one side of a comparison."""
    return interpret_recordings(contract, name, [(name, recording(contract, exchanges))])
