"""A faulty provider: a contract that says something else, or a fault planted in the emulator."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, NamedTuple

from voicegauge.contract import Contract, Operation
from voicegauge.contract.loading import build_contract
from voicegauge.contract.schema import Schemas
from voicegauge.emulator import Fault
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.formats.bodies import is_json, read_json
from voicegauge.formats.located_yaml import Document
from voicegauge.model import Exchange


class AnswerKind(NamedTuple):
    """What tells answers apart: an operation's id, a status, and in a status answer the state of the job."""

    operation: str
    status: int
    state: str | None


def kind_of(operation: Operation, exchange: Exchange) -> AnswerKind:
    """The kind of an answer to `operation`."""
    response, job = exchange.response, operation.job
    state = None
    if job is not None and response.status < 300 and is_json(response.media_type):
        state = job.state.read_body(read_json(response.body))
    return AnswerKind(operation.id, response.status, state if isinstance(state, str) else None)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One faulty provider, and what must be found of it."""

    kind: str
    """Class of fault: "field removed"."""
    id: str
    """Unique: "<provider>/<operation>: <what is wrong>"."""
    operation: str
    """Its id: cases that touch it are the ones that can find the fault."""
    target: str | None = None
    """The target's name where only that one is faulty."""
    rules: frozenset[str]
    """The rules that fit: a finding under another one does not count."""
    contract: Contract
    """The true one."""
    edit: Callable[[Any], None] | None = None
    """Changes the document that the emulator plays; the true one is played where it is left out."""
    faults: tuple[Fault, ...] = ()
    planted: tuple[str, ...] = ()
    """Known faults, as in `EmulatorSettings.faults`."""
    answer: AnswerKind | None = None
    """The only kind of answer that is spoiled; `None` where others may be."""

    def may_spoil(self, answers: Container[AnswerKind]) -> bool:
        """Whether traffic that showed these kinds of answers might look different."""
        return self.answer is None or self.answer in answers

    def played(self) -> Contract:
        """What the emulator plays."""
        return edited(self.contract, self.edit) if self.edit else self.contract


def edited(contract: Contract, edit: Callable[[Any], None]) -> Contract:
    """The contract of a document that was changed by `edit`; the true one stays as it is."""
    true = contract.document
    data = copy.deepcopy(true.data)
    edit(data)
    document = Document(true.path, data, {}, true.sha256)
    return build_contract(document, Schemas(document))


def at(data: Any, pointer: str) -> Any:
    """The value at a JSON pointer."""
    from voicegauge.formats.located_yaml import unescape

    for token in pointer.split("/")[1:]:
        data = data[int(token)] if isinstance(data, list) else data[unescape(token)]
    return data


def on_reply(name: str, change: Callable[[EmulatedResponse], None]) -> Fault:
    """A fault that changes answers; `change` chooses which."""
    return Fault(id="mutant", description=name, change_response=change)
