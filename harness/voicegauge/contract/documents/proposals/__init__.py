"""Proposes an overlay or a contract for a provider's OpenAPI document, for a person to complete."""

from voicegauge.contract.documents.proposals.contract_proposal import propose_contract
from voicegauge.contract.documents.proposals.overlay_proposal import propose_overlay
from voicegauge.contract.documents.proposals.overlay_writer import OverlayProposal, ProposedOperation
from voicegauge.contract.documents.proposals.speech_operations import (
    MODEL_FIELD_NAMES,
    SPEECH_FIELD_NAMES,
    list_likely_speech_operations,
)

__all__ = [
    "MODEL_FIELD_NAMES",
    "SPEECH_FIELD_NAMES",
    "OverlayProposal",
    "ProposedOperation",
    "list_likely_speech_operations",
    "propose_contract",
    "propose_overlay",
]
