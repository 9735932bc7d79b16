"""Proposes additions to a contract, which document what traffic contains and the contract does not state."""

from voicegauge.drift.patches.contract_patch import ContractPatch, build_contract_patch

__all__ = ["ContractPatch", "build_contract_patch"]
