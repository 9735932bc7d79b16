"""Traffic that keeps the other of two readings which a contract records."""

from __future__ import annotations

from voicegauge.contract import MISSING, Contract
from voicegauge.contract.extension import Dispute
from voicegauge.drift.traffic.reading import ObservedExchange
from voicegauge.formats import read_pointer, unescape

_CHECKS = {
    "observed-status-undocumented": ("status-undocumented", "wrong-error-status"),
    "observed-media-type-undocumented": ("content-type",),
    "observed-header-value-undocumented": ("header-schema",),
    "observed-state-undocumented": ("job-state-unknown",),
    "observed-transition-undocumented": ("job-transition-illegal",),
}
"""Rules of the checks, which disputes name, by the rule of drift that says the same of traffic."""
_BODY = ("response-schema", "error-shape", "job-completed-without-output")


def is_disputed(seen: ObservedExchange, rule: str, pointer: str) -> bool:
    """Whether a dispute at `pointer`, around it, or at the answer or its operation covers this."""
    names = _CHECKS.get(rule, _BODY)
    places = [pointer, seen.spec.pointer if seen.spec else "", seen.operation.pointer if seen.operation else ""]
    status = str(seen.status)
    if seen.operation is not None:  # also beside the reference to a shared response
        places.append(f"{seen.operation.pointer}/responses/{status}")
    for place in filter(None, places):
        for dispute, location in seen.contract.disputes(place):
            if set(names) & set(dispute.rules) and _fits(seen, dispute, location):
                return True
    return False


def _fits(seen: ObservedExchange, dispute: Dispute, location: str) -> bool:
    response = seen.exchange.response
    if dispute.status is not None and dispute.status != response.status:
        return False
    if dispute.media_type and dispute.media_type.lower() != response.media_type:
        return False
    if dispute.schema is None:
        return True
    if seen.value is MISSING:
        return False
    return any(
        seen.contract.schemas.fits(pointer, seen.value) for pointer in _pointers(seen.contract, dispute, location)
    )


def _pointers(contract: Contract, dispute: Dispute, location: str) -> list[str]:
    """Where the dispute's schema stands, so that its references are read in the document."""
    found = []
    tokens = [unescape(token) for token in location.split("/")[1:]]
    for key in ("x-source", "source"):
        entries = read_pointer(contract.document.data, [*tokens, key, "disputed"])
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if entry.get("says") == dispute.says and entry.get("schema") == dispute.schema:
                found.append(f"{location}/{key}/disputed/{index}/schema")
    return found
