"""Defines the rules for recorded traffic that is compared with a contract or with older traffic."""

from __future__ import annotations

from voicegauge.drift.rule_registry import DriftLevel, DriftRule

_BREAKING, _POSSIBLY, _COMPATIBLE = DriftLevel

TRAFFIC_VS_CONTRACT_RULES = {
    "observed-operation-undocumented": (_COMPATIBLE, "A request was sent to an operation that the contract lacks"),
    "observed-status-undocumented": (_POSSIBLY, "A response has an undocumented status"),
    "observed-media-type-undocumented": (_BREAKING, "A response has an undocumented media type"),
    "observed-header-undocumented": (_COMPATIBLE, "A response has an undocumented header"),
    "observed-infrastructure-headers": (_COMPATIBLE, "Responses have headers of proxies, CDNs or web servers"),
    "observed-header-value-undocumented": (_POSSIBLY, "A header has a value that its documented schema rejects"),
    "observed-field-undocumented": (_COMPATIBLE, "A response has an undocumented field"),
    "observed-field-missing": (_BREAKING, "A field that is documented as required is missing"),
    "observed-type-undocumented": (_BREAKING, "A field has another type than documented"),
    "observed-value-undocumented": (_POSSIBLY, "A field has a value that is not among the documented ones"),
    "observed-value-out-of-bounds": (_POSSIBLY, "A field has a value outside of its documented range or format"),
    "observed-state-undocumented": (_BREAKING, "A job is in an undocumented state"),
    "observed-transition-undocumented": (_POSSIBLY, "A job made an undocumented transition between states"),
    "observed-request-field-undocumented": (_COMPATIBLE, "A request with an undocumented field was accepted"),
    "observed-disputed-reading": (_COMPATIBLE, "Traffic agrees with a document that the contract records as disputed"),
    "documented-operation-not-recorded": (_COMPATIBLE, "A documented operation is in no recording"),
    "documented-status-not-recorded": (_COMPATIBLE, "A documented status is in no recording"),
    "documented-media-type-not-recorded": (_COMPATIBLE, "A documented media type is in no recording"),
    "documented-header-not-recorded": (_COMPATIBLE, "A documented header is in no recording"),
    "documented-field-not-recorded": (_COMPATIBLE, "A documented field is in no recording"),
    "documented-value-not-recorded": (_COMPATIBLE, "A documented value is in no recording"),
    "documented-state-not-recorded": (_COMPATIBLE, "A documented job state is in no recording"),
}
"""The rules for traffic that is compared with a contract: the level and the description, by rule id."""
TRAFFIC_VS_TRAFFIC_RULES = {
    "recorded-field-gone": (_BREAKING, "A field was removed"),
    "recorded-field-sometimes-gone": (_POSSIBLY, "A field that was always present is sometimes missing"),
    "recorded-field-new": (_COMPATIBLE, "A field was added"),
    "recorded-type-changed": (_BREAKING, "A field has another type"),
    "recorded-value-new": (_POSSIBLY, "A field has values that it did not have before"),
    "recorded-value-gone": (_POSSIBLY, "A list lost entries"),
    "recorded-state-new": (_BREAKING, "Jobs are in a new state that is not documented"),
    "recorded-state-order-changed": (_POSSIBLY, "The order of job states was changed"),
    "recorded-outcome-changed": (_POSSIBLY, "The job of the same request ends in another state"),
    "recorded-header-gone": (_POSSIBLY, "A header was removed"),
    "recorded-header-new": (_COMPATIBLE, "A header was added"),
    "recorded-header-value-new": (_POSSIBLY, "A header has a value that it did not have before"),
    "recorded-status-changed": (_BREAKING, "The response to the same request has another status"),
    "recorded-temporary-rejection": (_COMPATIBLE, "The same request is temporarily rejected"),
    "recorded-media-type-changed": (_BREAKING, "The response to the same request has another media type"),
    "recorded-body-unreadable": (_BREAKING, "A JSON body is now empty or not valid JSON"),
    "recorded-audio-container-changed": (_BREAKING, "Audio has another container format"),
    "recorded-audio-format-changed": (_POSSIBLY, "Audio has another sample rate or number of channels"),
    "recorded-charge-changed": (_POSSIBLY, "The charge for the same request was changed"),
    "recorded-request-not-repeated": (_COMPATIBLE, "A request of the older recording is not in the newer one"),
}
"""The rules for traffic that is compared with older traffic: the level and the description, by rule id."""


def build_traffic_rules() -> list[DriftRule]:
    """Return all rules for recorded traffic."""
    return [
        *(DriftRule(id, level, text, "recording-contract") for id, (level, text) in TRAFFIC_VS_CONTRACT_RULES.items()),
        *(DriftRule(id, level, text, "recordings") for id, (level, text) in TRAFFIC_VS_TRAFFIC_RULES.items()),
    ]
