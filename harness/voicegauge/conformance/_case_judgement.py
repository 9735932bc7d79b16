"""Keeps what was judged of a case, so that a check that ended early goes on without sending the case again.

A judgement has everything that a case adds to the report of its check. It is used again only for the same case, judged
by the same contract, rules and account, and not for longer than a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from voicegauge.client.keys import list_secrets, remove_credentials
from voicegauge.conformance.coverage import CoverageCounts
from voicegauge.contract.contract import Contract
from voicegauge.contract.targets import Target
from voicegauge.model.base import Provenance, Record, SpeechRequest
from voicegauge.model.exchange import Exchange
from voicegauge.model.finding import Finding
from voicegauge.model.job import Delivery
from voicegauge.recording.credentials import mask_record
from voicegauge.rules.subjects import SpeechDelivery

MAX_JUDGEMENT_AGE_S = 24 * 3600.0
"""Age in seconds up to which a judgement is used again. A service may be another one on another day."""


class KeptDelivery(Record, frozen=True, kw_only=True):
    """A delivery with which later deliveries are compared: its audio, and the request without credentials."""

    target_name: str
    speech_request: SpeechRequest
    delivery: Delivery
    is_successful: bool
    has_ordinary_text: bool

    def restore(self, contract: Contract) -> SpeechDelivery | None:
        """Return the delivery; `None` if the contract has no such target any more."""
        target = contract.targets.get(self.target_name)
        if target is None:
            return None
        return SpeechDelivery(target, self.speech_request, self.delivery, self.is_successful, self.has_ordinary_text)


def keep_delivery(speech_delivery: SpeechDelivery, key: str | None) -> KeptDelivery | None:
    """Return what the comparison with later deliveries needs; `None` if its request or audio has the key."""
    delivery, secrets = speech_delivery.delivery, list_secrets(key)
    named = (delivery.submit_exchange_index, delivery.audio_exchange_index)
    indices = sorted({index for index in named if index is not None})
    exchanges = tuple(_remove_key_and_body(delivery.exchanges[index], speech_delivery.target, key) for index in indices)
    bodies = [one.request.body for one in exchanges] + [delivery.audio or b""]
    if any(secret.encode() in body for secret in secrets for body in bodies):
        return None
    positions = {index: position for position, index in enumerate(indices)}
    kept = msgspec.structs.replace(
        delivery,
        exchanges=exchanges,
        job=None,
        submit_exchange_index=None if named[0] is None else positions[named[0]],
        audio_exchange_index=None if named[1] is None else positions[named[1]],
    )
    return KeptDelivery(
        target_name=speech_delivery.target.name,
        speech_request=speech_delivery.speech_request,
        delivery=mask_record(kept, secrets),
        is_successful=speech_delivery.is_successful,
        has_ordinary_text=speech_delivery.has_ordinary_text,
    )


def _remove_key_and_body(exchange: Exchange, target: Target, key: str | None) -> Exchange:
    """Return an exchange without credentials and without the body of its response, which only repeats the audio."""
    request = exchange.request
    if key is not None:
        request = remove_credentials(request, target.operation, key)
    return msgspec.structs.replace(
        exchange, request=request, response=msgspec.structs.replace(exchange.response, body=b"")
    )


class CaseJudgement(Record, frozen=True, kw_only=True):
    """What one case adds to the report of its check."""

    basis: str
    """The digest of everything that the judgement depends on, see `judgement_keeper.JudgingBasis`."""
    judged_at: str
    """Time of the judgement: UTC, ISO 8601."""
    findings: tuple[Finding, ...] = ()
    status: int | None = None
    """HTTP status of the response that was judged; `None` if no response was judged."""
    no_verdict_reason: str | None = None
    """Why the case has no verdict; `None` if it has one."""
    has_no_result: bool = False
    """Whether a network error ended the case before any part of it could be judged."""
    addressed_target_name: str | None = None
    """Name of the target that the request addresses; `None` if it addresses none, or if there are no findings."""
    billable_request_count: int = 0
    """Number of billable requests of the case that were accepted."""
    operations_by_provenance: Mapping[Provenance, tuple[str, ...]] = {}
    """Operations of the judged exchanges, one for each exchange, by the provenance of the exchanges."""
    coverage: CoverageCounts = CoverageCounts()
    delivery: KeptDelivery | None = None
    """The delivery, kept if later cases are compared with it; otherwise `None`."""

    def is_usable(self, basis: str, now: datetime) -> bool:
        """Whether the judgement has the same basis, and is not older than `MAX_JUDGEMENT_AGE_S`."""
        return self.basis == basis and (now - datetime.fromisoformat(self.judged_at)).total_seconds() <= (
            MAX_JUDGEMENT_AGE_S
        )

    def iterate_exchanges(self) -> Iterator[tuple[Provenance, str]]:
        """Yield provenance and operation of each judged exchange."""
        for provenance, operations in self.operations_by_provenance.items():
            for operation in operations:
                yield Provenance(provenance), operation
