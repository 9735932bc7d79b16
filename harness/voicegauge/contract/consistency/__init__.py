"""Consistency checks of a contract document: references, sources, resources, streams."""

from voicegauge.contract.consistency.references import (
    check_answer_place,
    check_consistency,
    check_objects,
    check_request_place,
    check_schemas,
)
from voicegauge.contract.consistency.resources import check_keeping
from voicegauge.contract.consistency.streams import check_streams

__all__ = [
    "check_answer_place",
    "check_consistency",
    "check_keeping",
    "check_objects",
    "check_request_place",
    "check_schemas",
    "check_streams",
]
