"""Derivation of all faulty providers of a contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mutation.job_mutants import audio_mutants, charge_mutants, job_mutants, parameter_mutants
from mutation.mutant import Mutant
from mutation.request_mutants import request_mutants
from mutation.response_mutants import correct_responses, response_mutants
from voicegauge.contract.contract import Contract
from voicegauge.model.exchange import Exchange


def derive_mutants(contract: Contract, traffic: Mapping[str, list[Exchange]]) -> Iterator[Mutant]:
    """Iterate over the faulty providers derived from `contract`.

    Args:
        contract: the correct contract.
        traffic: exchanges of a correct provider by operation id, which show its responses.
    """
    for operation in contract.operations.values():
        for answer in correct_responses(operation, traffic.get(operation.id, [])):
            yield from response_mutants(answer)
        yield from request_mutants(operation)
        yield from job_mutants(operation)
    for target in contract.targets.values():
        yield from charge_mutants(target)
        yield from audio_mutants(target)
        yield from parameter_mutants(target)
