"""Two deliveries whose requests differ in one parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from voicegauge.checks.subjects.base import CheckSubject
from voicegauge.checks.subjects.delivery import SpeechDelivery
from voicegauge.contract import Operation, Target
from voicegauge.model import Exchange

ComparedParameter = Literal["speed", "voice", "language", "seed", "repetition", "format", "text", "markup"]
"""The parameter of a request whose effect is checked by comparing two deliveries. For `text`, the second request
repeats the text of the first. For `repetition`, both requests are equal and have the same seed. For `markup`, the
second has tags that change nothing."""


@dataclass(frozen=True, eq=False)
class DeliveryPair(CheckSubject):
    """Two deliveries of one target whose requests differ in one parameter at most."""

    compared_parameter: ComparedParameter
    base_delivery: SpeechDelivery
    changed_delivery: SpeechDelivery
    base_value: Any
    """Value of the parameter in the first request, or the documented default; `None` if neither is known."""
    changed_value: Any
    """Value of the parameter in the second request."""

    @property
    def operation(self) -> Operation:
        """The operation of both requests."""
        return self.changed_delivery.operation

    @property
    def target(self) -> Target | None:
        """The target of both requests."""
        return self.changed_delivery.target

    @property
    def exchange(self) -> Exchange:
        """The submit exchange of `changed_delivery`; if that is not known, its exchange with the audio."""
        submit = self.changed_delivery.submit_call
        return submit.exchange if submit is not None else self.changed_delivery.exchange

    @property
    def parameter_pointer(self) -> str:
        """JSON pointer to the parameter in the contract."""
        parameter = {"repetition": "seed", "markup": "text"}.get(self.compared_parameter, self.compared_parameter)
        return f"{self.operation.pointer}/x-speech/request/{parameter}"

    @property
    def possible_dispute_pointers(self) -> tuple[str, ...]:
        """The dispute pointers of the second delivery."""
        return self.changed_delivery.possible_dispute_pointers
