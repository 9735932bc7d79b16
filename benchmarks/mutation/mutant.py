"""A faulty provider: an emulator with a changed contract or with an injected fault."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, NamedTuple

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import build_contract
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import Schemas
from voicegauge.emulator._output import EmulatedResponse, Fault
from voicegauge.formats.bodies import is_json, read_json
from voicegauge.formats.located_yaml import Document
from voicegauge.model.exchange import Exchange


class ResponseKind(NamedTuple):
    """Responses with the same operation, status and, in status responses, job state."""

    operation: str
    status: int
    state: str | None


def response_kind(operation: Operation, exchange: Exchange) -> ResponseKind:
    """Return the kind of a response of `operation`."""
    response, job = exchange.response, operation.job
    state = None
    if job is not None and response.status < 300 and is_json(response.media_type):
        state = job.state_location.read_body(read_json(response.body))
    return ResponseKind(operation.id, response.status, state if isinstance(state, str) else None)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A faulty provider, and the rules that should find the fault."""

    kind: str
    """Class of fault: "field removed"."""
    id: str
    """Unique: "<provider>/<operation>: <fault>"."""
    operation: str
    """Id of the operation; only cases that call it can find the fault."""
    target: str | None = None
    """Name of the only target that is faulty; `None` if all targets of the operation are."""
    rules: frozenset[str]
    """Suitable rules: a finding of another rule does not count."""
    contract: Contract
    """The correct contract."""
    edit: Callable[[Any], None] | None = None
    """Changes the document that the emulator uses; `None` for the correct one."""
    faults: tuple[Fault, ...] = ()
    emulator_faults: tuple[str, ...] = ()
    """Built-in faults, as in `EmulatorSettings.faults`."""
    affected_response: ResponseKind | None = None
    """The only kind of response that the fault affects; `None` if it may affect several."""

    def may_affect(self, responses: Container[ResponseKind]) -> bool:
        """Whether traffic with these kinds of responses might differ from that of a correct provider."""
        return self.affected_response is None or self.affected_response in responses

    def emulated_contract(self) -> Contract:
        """Return the contract that the emulator uses."""
        return edited(self.contract, self.edit) if self.edit else self.contract


def edited(contract: Contract, edit: Callable[[Any], None]) -> Contract:
    """Return the contract of a copy of the document that `edit` has changed."""
    original = contract.document
    data = copy.deepcopy(original.data)
    edit(data)
    document = Document(original.path, data, {}, original.sha256)
    return build_contract(document, Schemas(document))


def value_at(data: Any, pointer: str) -> Any:
    """Return the value at a JSON pointer."""
    from voicegauge.formats.located_yaml import unescape_pointer_token

    for token in pointer.split("/")[1:]:
        data = data[int(token)] if isinstance(data, list) else data[unescape_pointer_token(token)]
    return data


def response_fault(name: str, change: Callable[[EmulatedResponse], None]) -> Fault:
    """Return a fault that changes responses; `change` chooses which."""
    return Fault(id="mutant", description=name, change_response=change)
