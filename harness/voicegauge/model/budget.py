"""What is left of a budget, and what becomes of a plan within it."""

from __future__ import annotations

from voicegauge.model.base import MICRO_USD_PER_USD, Record, convert_budget_to_micro_usd, convert_to_micro_usd
from voicegauge.model.price import format_price_usd

MAX_COST_FLAG = "--max-cost"
MAX_COST_PER_DAY_FLAG = "--max-cost-per-day"


class BudgetLeft(Record, frozen=True, kw_only=True):
    """A budget, and what earlier commands have left of it."""

    flag: str
    """The option that sets it: "--max-cost" or "--max-cost-per-day"."""
    provider: str | None = None
    """The provider that it is for; `None` if it is for all providers together."""
    limit_usd: float
    """The budget in dollars."""
    spent_usd: float
    """Dollars of it that were or may have been charged to earlier commands; for a day, those of today (UTC)."""

    @property
    def left_micro_usd(self) -> float:
        """Millionths of a dollar that are left, at least 0."""
        left = convert_budget_to_micro_usd(self.limit_usd) - convert_to_micro_usd(self.spent_usd)
        return max(0, left)

    def applies_to(self, provider: str) -> bool:
        """Whether it pays for requests to `provider`, which may be another version of one: "acme@staging.example"."""
        return self.provider in (None, provider) or (
            self.flag == MAX_COST_FLAG and self.provider == provider.partition("@")[0]
        )

    def describe_limit_for(self, price_usd: float) -> str:
        """Return the option with the smallest value with which `price_usd` more would fit: "--max-cost acme=1.2"."""
        usd = (convert_to_micro_usd(self.spent_usd) + convert_to_micro_usd(price_usd)) / MICRO_USD_PER_USD
        provider = "" if self.provider is None or self.flag != MAX_COST_FLAG else f"{self.provider}="
        return f"{self.flag} {provider}{f'{usd:.6f}'.rstrip('0').rstrip('.')}"

    @property
    def name(self) -> str:
        """The option with its value: "--max-cost 1", "--max-cost acme=1" or "--max-cost-per-day 1 of acme"."""
        if self.flag != MAX_COST_FLAG:
            return f"{self.flag} {self.limit_usd:g} of {self.provider}"
        return f"{self.flag} {'' if self.provider is None else f'{self.provider}='}{self.limit_usd:g}"

    def describe(self) -> str:
        """Return the option with its value and what is spent of it: "--max-cost 1 less $0.2000 that ..."."""
        spent = "an earlier command has spent" if self.flag == MAX_COST_FLAG else "was spent today (UTC)"
        return (
            f"{self.name} less {format_price_usd(self.spent_usd, is_exact=True)} that {spent}"
            if self.spent_usd
            else self.name
        )


class UnaffordableCase(Record, frozen=True, kw_only=True):
    """A planned case or sample that will not be sent because too little is left of a budget."""

    id: str
    reserved_usd: float
    """Dollars that must be left before it is sent."""
    flag: str
    """The option that sets the budget."""
    budget_name: str
    """The option with its value, and the provider that the budget is for: "--max-cost acme=1"."""


class BudgetForecast(Record, frozen=True, kw_only=True):
    """What becomes of a plan within the budgets that are left."""

    budgets: tuple[BudgetLeft, ...] = ()
    refusal_reason: str | None = None
    """Why the command would send nothing, in one line; `None` if it would send something."""
    refusal_exit_status: int | None = None
    """The exit status of the command then."""
    unaffordable_cases: tuple[UnaffordableCase, ...] = ()
    """Cases or samples that will not be sent although every response is as expected, in the order of the plan."""
    sufficient_limits: tuple[str, ...] = ()
    """The options with which every case would be sent, such as "--max-cost 2.5"; empty if all cases are."""
    unaffordable_cases_at_worst: tuple[UnaffordableCase, ...] = ()
    """Cases that will not be sent if the service accepts, and charges for, what it should reject."""
