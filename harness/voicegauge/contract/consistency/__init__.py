"""Consistency checks of a contract document: references, sources, resources, streams."""

from voicegauge.contract.consistency.references import (
    check_consistency,
    check_objects,
    check_request_location,
    check_response_location,
    check_schemas,
)
from voicegauge.contract.consistency.resources import check_resources
from voicegauge.contract.consistency.streams import check_streams

__all__ = [
    "check_consistency",
    "check_objects",
    "check_request_location",
    "check_resources",
    "check_response_location",
    "check_schemas",
    "check_streams",
]
