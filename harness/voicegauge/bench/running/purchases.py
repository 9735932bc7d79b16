"""Tracks the samples of a run according to its journal: what was paid for each, and whether it is finished."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from voicegauge.bench.planning import BenchPlan, PlannedSample
from voicegauge.client import PurchaseAccount, PurchaseHistory
from voicegauge.model import BillingStatus, OpenJob, Sample


@dataclass
class SamplePurchases(PurchaseHistory):
    """The submits for one sample, in the order of sending, and the sample if it is finished."""

    finished_sample: Sample | None = None
    """The sample with its result, which may be a failure; `None` if it is not finished."""
    sample_with_open_job: Sample | None = None
    """The sample, recorded as a failure, if its job can still be polled; otherwise `None`."""

    def record_submit(self, submitted_at: str, price_usd: float | None, idempotency_key: str | None = None) -> None:
        """Record that another submit begins, so that the sample does not count as finished."""
        super().record_submit(submitted_at, price_usd, idempotency_key)
        self.finished_sample = self.sample_with_open_job = None

    def record_job_left_open(self, sample: Sample) -> None:
        """Record that the job of the last submit could not be polled to its end."""
        self.sample_with_open_job = sample

    def record_sample_finished(self, sample: Sample, billing: BillingStatus) -> None:
        """Record the finished sample, and what is known about the charge for its last submit."""
        self.finished_sample, self.sample_with_open_job = sample, None
        if self.purchases:
            last = self.purchases[-1]
            last.billing_status, last.has_saved_result = billing, True
            last.charged_usd = sample.cost.charged_usd if sample.cost.charged_usd is not None else last.charged_usd
            last.missing_result_reason = sample.failure.message if sample.failure else None

    @property
    def open_job(self) -> OpenJob | None:
        """The job that was paid for and not followed to its end; `None` if there is no such job."""
        last = self.purchases[-1] if self.purchases else None
        if last is None or last.job_id is None or not last.awaits_job_result:
            return None
        failure = self.sample_with_open_job.failure if self.sample_with_open_job else None
        reason = failure.message if failure else "voicegauge was stopped before the job had ended"
        return OpenJob(
            sample_id=self.sample_or_case_id,
            job_id=last.job_id,
            sent_at=last.submitted_at,
            counted_usd=last.charge_or_price_usd,
            reason=reason,
        )


class JournalState(PurchaseAccount[SamplePurchases]):
    """State of a run, as read from its journal."""

    def __init__(
        self, purchases_by_sample: Mapping[str, SamplePurchases] | None = None, *, is_emulated: bool = False
    ) -> None:
        """Store the purchases of each sample, by sample id."""
        super().__init__(purchases_by_sample)
        self.is_emulated = is_emulated
        """Whether a response identified itself as coming from voicegauge's emulator."""

    @functools.cached_property
    def finished_samples(self) -> dict[str, Sample]:
        """The finished samples by id, including those whose result was lost because voicegauge was stopped."""
        return {name: one.finished_sample for name, one in self.histories.items() if one.finished_sample is not None}

    def find_unpaid_samples(self, plan: BenchPlan, *, retry_ambiguous: bool) -> list[PlannedSample]:
        """Return the planned samples for which another request must be paid.

        Args:
            plan: the plan of the run.
            retry_ambiguous: whether samples without a result of their last request are bought again.
        """
        paid = {*self.finished_samples, *self.open_jobs, *self.ids_with_ambiguous_last_request}
        paid -= self.ids_with_ambiguous_last_request if retry_ambiguous else frozenset()
        return [planned for row in plan.rounds for planned in row if planned.id not in paid]

    @functools.cached_property
    def open_jobs(self) -> dict[str, OpenJob]:
        """The jobs that were paid for and not followed to their end, by sample id."""
        return {name: job for name, one in self.histories.items() if (job := one.open_job) is not None}
