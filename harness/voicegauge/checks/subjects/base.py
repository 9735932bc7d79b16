"""Defines the base class of everything that rules are applied to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicegauge.contract import Contract, Operation, Target
    from voicegauge.model import Exchange


class CheckSubject:
    """Base class of everything that rules judge, with the operation, exchange and target that its findings name.

    Subjects read exchanges as the contract describes them. They never raise an error because of what a provider sent.
    """

    # Some subjects have these as dataclass fields, others compute them. They are declared for type checkers only,
    # because a property that exists at run time would prevent a dataclass from setting its field.
    if TYPE_CHECKING:

        @property
        def operation(self) -> Operation:
            """The operation that findings are reported for."""

        @property
        def exchange(self) -> Exchange:
            """The exchange that shows a violation, unless the violation names another."""

        @property
        def target(self) -> Target | None:
            """The requested model or mode of the provider; `None` if it is not known."""

    @property
    def contract(self) -> Contract:
        """The contract that the rules compare with."""
        return self.operation.contract

    @property
    def possible_dispute_pointers(self) -> tuple[str, ...]:
        """JSON pointers to the parts of the contract at which a dispute about this subject can be recorded."""
        return ()

    @property
    def can_be_sent_again(self) -> bool:
        """Whether `exchange` has a request that a user could send again."""
        return True
