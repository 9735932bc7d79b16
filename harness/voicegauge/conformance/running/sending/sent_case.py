"""Defines what was sent and received for one case, before it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from voicegauge.checks import Call, CheckSubject
from voicegauge.conformance.cases import ConformanceCase
from voicegauge.errors import BudgetError, TransportError
from voicegauge.model import Exchange


@dataclass
class SentCase:
    """What was sent and received for one case. It is filled while the case is sent."""

    case: ConformanceCase
    exchanges: list[Exchange] = field(default_factory=list)
    """All complete exchanges, in the order of sending."""
    incomplete_exchanges: Sequence[Exchange] = ()
    """Attempts whose response was incomplete. They may have been charged."""
    subjects: list[CheckSubject] = field(default_factory=list)
    """The subjects that the rules judge."""
    status: int | None = None
    """HTTP status of the response that is judged; `None` if no response is judged."""
    no_verdict_reason: str | None = None
    """Why there is no verdict; `None` if there is one."""
    judged_exchange: Exchange | None = None
    """The exchange that is judged; `None` if the case is not a single call."""
    incomplete_response_error: TransportError | None = None
    """The error that is judged instead of a response, because the response was incomplete in every attempt."""
    error: BaseException | None = None
    """What ended the case early: an error of the tool or of the network, or a cancellation; `None` if nothing did."""
    spent_usd: float = 0.0
    """Dollars that were charged to the budget."""
    is_skipped: bool = False
    """Whether the case was not sent at all; `no_verdict_reason` says why."""

    @property
    def calls(self) -> list[Call]:
        """The calls among the subjects."""
        return [subject for subject in self.subjects if isinstance(subject, Call)]

    @property
    def has_verdict(self) -> bool:
        """Whether everything could be judged."""
        return self.no_verdict_reason is None and self.error is None

    @property
    def exceeds_budget(self) -> bool:
        """Whether nothing was sent because less is left of the budget than the case costs."""
        return isinstance(self.error, BudgetError) and not self.exchanges
