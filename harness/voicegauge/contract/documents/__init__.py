"""Reads the document of a contract: one OpenAPI document, or an OpenAPI Overlay on a provider's official document.

The result is one OpenAPI 3.1 document in memory, whatever files and version it comes from; each of its values keeps its
position in the file that it was read from.
"""

from voicegauge.contract.documents.assembly import (
    find_contract_files,
    find_overlay_base,
    read_contract_document,
    read_openapi_document,
)
from voicegauge.contract.documents.openapi_validation import validate_openapi
from voicegauge.contract.documents.proposals import (
    MODEL_FIELD_NAMES,
    SPEECH_FIELD_NAMES,
    OverlayProposal,
    ProposedOperation,
    list_likely_speech_operations,
    propose_contract,
    propose_overlay,
)

__all__ = [
    "MODEL_FIELD_NAMES",
    "SPEECH_FIELD_NAMES",
    "OverlayProposal",
    "ProposedOperation",
    "find_contract_files",
    "find_overlay_base",
    "list_likely_speech_operations",
    "propose_contract",
    "propose_overlay",
    "read_contract_document",
    "read_openapi_document",
    "validate_openapi",
]
