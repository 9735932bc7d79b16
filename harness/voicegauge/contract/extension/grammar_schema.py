"""Generates a JSON Schema of the grammar of contracts, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from voicegauge.contract.extension.jobs import (
    BatchSpec,
    ChatSpec,
    JobSpec,
    PaginationSpec,
    ResourceSpec,
    StreamSpec,
    SubmitSpec,
    WebhookSpec,
)
from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.extension.provider import IdempotencySpec, KeySpec, LimitsSpec, ProviderSpec, SourceReference
from voicegauge.contract.extension.sockets import SocketSpec
from voicegauge.contract.extension.speech import (
    AudioFact,
    AudioInputField,
    ConversionSpec,
    SpeechField,
    SpeechSpec,
    TranscriptionSpec,
)
from voicegauge.formats.locations import Location, LocationValues
from voicegauge.model.base import Record

RECORD_BY_OPERATION_KEY: Mapping[str, type[Record]] = {
    "x-speech": SpeechSpec,
    "x-job": JobSpec,
    "x-stream": StreamSpec,
    "x-transcription": TranscriptionSpec,
    "x-conversion": ConversionSpec,
    "x-pricing": PriceSpec,
    "x-limits": LimitsSpec,
    "x-resource": ResourceSpec,
    "x-pagination": PaginationSpec,
    "x-batch": BatchSpec,
    "x-chat": ChatSpec,
    "x-webhook": WebhookSpec,
    "x-idempotency": IdempotencySpec,
    "x-submit": SubmitSpec,
    "x-source": SourceReference,
}
"""The records of the `x-` keys of an operation."""
RECORD_BY_ROOT_KEY: Mapping[str, type[Record]] = {"x-provider": ProviderSpec, "x-limits": LimitsSpec}
"""The records of the `x-` keys at the root."""
_LOCATION_PATTERN = r"^(body(#/.*)?|(query|path|header)\..+)$"
_EVENT_LOCATION_PATTERN = r"^(event|data(#/.*)?)$"


def _build_location_schema(location_class: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema of a location class, which msgspec does not know."""
    if location_class is LocationValues:
        return {"type": "object", "propertyNames": {"pattern": _LOCATION_PATTERN}}
    return {"type": "string", "pattern": _LOCATION_PATTERN if location_class is Location else _EVENT_LOCATION_PATTERN}


def _build_key_schemas(record_by_key: Mapping[str, type[Record]]) -> dict[str, Any]:
    properties = {key: {"$ref": f"#/$defs/{record.__name__}"} for key, record in record_by_key.items()}
    return {"type": "object", "properties": properties}


def build_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the `x-` keys within the structure of an OpenAPI document.

    The schema covers the keys with a fixed position. `x-source` is allowed on any object; its schema is
    `$defs/SourceReference`.
    """
    records = (
        *(ProviderSpec, SpeechSpec, JobSpec, PriceSpec, LimitsSpec, SourceReference, TranscriptionSpec, ConversionSpec),
        *(ResourceSpec, BatchSpec, ChatSpec, WebhookSpec, StreamSpec, IdempotencySpec, KeySpec, SubmitSpec),
        *(PaginationSpec, SocketSpec),
    )
    _, defs = msgspec.json.schema_components(records, ref_template="#/$defs/{name}", schema_hook=_build_location_schema)
    for name, fields in (
        ("SpeechSpec", SpeechField),
        ("TargetSpec", SpeechField),
        ("TranscriptionSpec", AudioInputField),
        ("ConversionSpec", AudioInputField),
    ):
        request = defs[name]["properties"]["request_fields"]
        short_form = {"type": "string", "pattern": _LOCATION_PATTERN}
        request["additionalProperties"] = {"anyOf": [short_form, request["additionalProperties"]]}
        request["propertyNames"] = {"enum": list(get_args(fields))}  # msgspec leaves out the type of keys
    defs["ConversionResponse"]["properties"]["fact_locations"]["propertyNames"] = {"enum": list(get_args(AudioFact))}

    operation, root = _build_key_schemas(RECORD_BY_OPERATION_KEY), _build_key_schemas(RECORD_BY_ROOT_KEY)
    security_schemes = {"type": "object", "additionalProperties": _build_key_schemas({"x-key": KeySpec})}
    root["properties"]["components"] = {"type": "object", "properties": {"securitySchemes": security_schemes}}
    methods = {"^(get|put|post|delete|options|head|patch)$": operation}
    root["properties"]["paths"] = {
        "type": "object",
        "additionalProperties": {"type": "object", "patternProperties": methods},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The x- keys of a voicegauge contract, an OpenAPI 3.1 document",
        **root,
        "required": ["x-provider"],
        "$defs": defs,
    }
