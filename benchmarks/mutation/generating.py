"""Every mutant of a contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mutation.answers import answer_mutants, answers_of
from mutation.jobs import audio_mutants, charge_mutants, job_mutants
from mutation.mutant import Mutant
from mutation.requests import request_mutants
from voicegauge.contract import Contract
from voicegauge.model import Exchange


def mutants(contract: Contract, traffic: Mapping[str, list[Exchange]]) -> Iterator[Mutant]:
    """The faulty providers derived from `contract`.

    Args:
        contract: what is true.
        traffic: exchanges of a correct provider by operation id, which show the answers there are.
    """
    for operation in contract.operations.values():
        for answer in answers_of(operation, traffic.get(operation.id, [])):
            yield from answer_mutants(answer)
        yield from request_mutants(operation)
        yield from job_mutants(operation)
    for target in contract.targets.values():
        yield from charge_mutants(target)
        yield from audio_mutants(target)
