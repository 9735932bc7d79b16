"""Checks that a contract is consistent: what one part of the document states about another must be true."""

from voicegauge.contract.consistency.contracts import check_consistency
from voicegauge.contract.consistency.references import check_references, check_schemas

__all__ = ["check_consistency", "check_references", "check_schemas"]
