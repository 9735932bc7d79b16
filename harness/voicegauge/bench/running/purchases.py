"""The requests that a run paid for, as its journal lists them: what they cost, and what became of them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from voicegauge.client import Ledger
from voicegauge.model import AmbiguousRequest, BillingStatus, OpenJob, Sample


@dataclass
class Purchase:
    """One submit, as far as the journal knows what became of it."""

    at: str
    """UTC, ISO 8601."""
    usd: float | None
    """The price; `None` where it is unknown."""
    billing: BillingStatus = BillingStatus.AMBIGUOUS
    status: int | None = None
    """HTTP status of the response; `None` where none was received."""
    job: str | None = None
    """The id by which its job can be polled."""
    charged_usd: float | None = None
    """The charge that the provider reported."""
    is_settled: bool = False
    """Whether the sample that it was sent for was finished by it."""
    reason: str | None = None
    """Why it brought no result, if the sample says."""

    @property
    def is_open_job(self) -> bool:
        """Whether its job can still be polled."""
        return self.job is not None and not self.is_settled

    @property
    def is_ambiguous(self) -> bool:
        """Whether it counts as spent although nothing is known, or saved, of its result."""
        if self.is_settled or self.billing is not BillingStatus.ACCEPTED:
            return self.billing is BillingStatus.AMBIGUOUS
        return self.job is None

    @property
    def counted_usd(self) -> float | None:
        """The amount that counts if it is charged: as the provider reported it, or the price."""
        return self.usd if self.charged_usd is None else self.charged_usd

    @property
    def ambiguous_reason(self) -> str:
        """Why nothing is known of its result."""
        if self.reason is not None:
            return self.reason
        if self.status is None:
            return "voicegauge was stopped before a response arrived"
        return f"the response (HTTP {self.status}) arrived and could not be saved"

    def settle_in(self, ledger: Ledger) -> None:
        """Add what it cost to `ledger`, by the same rule as when it was sent."""
        ledger.hold(self.usd or 0.0).settle(may_be_charged=self.billing.may_be_charged, charged_usd=self.charged_usd)


@dataclass
class SamplePurchases:
    """The submits that were sent for one sample, in order, and the sample if it is finished."""

    id: str
    purchases: list[Purchase] = field(default_factory=list)
    finished: Sample | None = None
    left_open: Sample | None = None
    """The sample as a failure, while its job can still be polled."""

    def start(self, at: str, usd: float | None) -> None:
        """Begin another submit; the sample is no longer finished."""
        self.purchases.append(Purchase(at, usd))
        self.finished = self.left_open = None

    def mark_not_sent(self) -> None:
        """Note that the last submit never left this machine."""
        if self.purchases:
            self.purchases[-1].billing = BillingStatus.NOT_SENT

    def respond(self, status: int, billing: BillingStatus, job: str | None, charged_usd: float | None) -> None:
        """Note the response to the last submit."""
        if self.purchases:
            last = self.purchases[-1]
            last.status, last.billing, last.job, last.charged_usd = status, billing, job, charged_usd

    def leave_open(self, sample: Sample) -> None:
        """Note that the job of the last submit could not be followed to its end."""
        self.left_open = sample

    def finish(self, sample: Sample, billing: BillingStatus) -> None:
        """Note the finished sample, and what is known of the charge for its last submit."""
        self.finished, self.left_open = sample, None
        if self.purchases:
            last = self.purchases[-1]
            last.billing, last.is_settled = billing, True
            last.charged_usd = sample.cost.charged_usd if sample.cost.charged_usd is not None else last.charged_usd
            last.reason = sample.failure.message if sample.failure else None

    @property
    def is_lost(self) -> bool:
        """Whether its last request is ambiguous."""
        return bool(self.purchases) and self.purchases[-1].is_ambiguous

    @property
    def open_job(self) -> OpenJob | None:
        """The job that was paid for and not followed to its end."""
        last = self.purchases[-1] if self.purchases else None
        if last is None or last.job is None or not last.is_open_job:
            return None
        failure = self.left_open.failure if self.left_open else None
        reason = failure.message if failure else "voicegauge was stopped before the job had ended"
        return OpenJob(id=self.id, job=last.job, sent_at=last.at, usd=last.counted_usd, reason=reason)

    @property
    def attempts(self) -> int:
        """Number of submits of the last delivery: the last one, and the rejected ones just before it."""
        rejected = itertools.takewhile(lambda one: not one.billing.may_be_charged, reversed(self.purchases[:-1]))
        return 1 + sum(1 for _ in rejected)

    @property
    def ambiguous(self) -> list[AmbiguousRequest]:
        """Its ambiguous requests, oldest first."""
        return [
            AmbiguousRequest(
                id=self.id,
                sent_at=one.at,
                usd=one.counted_usd,
                reason=one.ambiguous_reason,
                bought_again=index < len(self.purchases) - 1,
            )
            for index, one in enumerate(self.purchases)
            if one.is_ambiguous
        ]


class JournalState:
    """State of a run, as read from its journal."""

    def __init__(self, samples: Mapping[str, SamplePurchases] | None = None, *, is_emulated: bool = False) -> None:
        """Hold the purchases by sample id."""
        self.samples = samples or {}
        self.is_emulated = is_emulated
        """A response identified itself as one of voicegauge's emulator."""

    @functools.cached_property
    def finished(self) -> dict[str, Sample]:
        """The finished samples by id, lost ones included."""
        return {name: one.finished for name, one in self.samples.items() if one.finished is not None}

    @functools.cached_property
    def open_jobs(self) -> dict[str, OpenJob]:
        """The jobs that were paid for and not followed to their end, by sample id."""
        return {name: job for name, one in self.samples.items() if (job := one.open_job) is not None}

    @functools.cached_property
    def lost(self) -> frozenset[str]:
        """Ids of the samples whose last request is ambiguous, finished or not."""
        return frozenset(name for name, one in self.samples.items() if one.is_lost)

    @functools.cached_property
    def ambiguous(self) -> tuple[AmbiguousRequest, ...]:
        """All ambiguous requests, oldest first."""
        return tuple(sorted((a for one in self.samples.values() for a in one.ambiguous), key=lambda one: one.sent_at))

    @property
    def spent_usd(self) -> float:
        """Everything that was or may have been charged, open jobs and ambiguous requests included."""
        return self._spent_usd(with_open_jobs=True)

    @property
    def settled_usd(self) -> float:
        """As `spent_usd`, without the open jobs."""
        return self._spent_usd(with_open_jobs=False)

    def _spent_usd(self, *, with_open_jobs: bool) -> float:
        ledger = Ledger()
        for one in self.samples.values():
            for purchase in one.purchases:
                if with_open_jobs or not purchase.is_open_job:
                    purchase.settle_in(ledger)
        return ledger.spent_usd

    @property
    def is_empty(self) -> bool:
        """Whether no request has been sent."""
        return not self.samples

    @property
    def may_have_been_charged(self) -> bool:
        """Whether a new run would pay for something again."""
        return any(purchase.billing.may_be_charged for one in self.samples.values() for purchase in one.purchases)
