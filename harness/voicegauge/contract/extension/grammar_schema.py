"""The grammar as a JSON Schema, for editors."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from voicegauge.contract.extension.audio_input import Conversion, Fact, IntakeWord, Transcription
from voicegauge.contract.extension.job import JobSpec
from voicegauge.contract.extension.limits import Limits
from voicegauge.contract.extension.provider import Provider
from voicegauge.contract.extension.resources import Batch, Chat, Resource
from voicegauge.contract.extension.sources import Source
from voicegauge.contract.extension.speech import Price, Speech, Word
from voicegauge.contract.extension.streams import StreamSpec
from voicegauge.contract.extension.webhooks import Webhook
from voicegauge.model import Record


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the `x-` keys, laid over the outline of an OpenAPI document.

    It describes the keys that stand at a fixed place. `x-source` may stand on any
    object: its schema is `$defs/Source`.
    """
    records = (
        *(Provider, Speech, JobSpec, Price, Limits, Source, Transcription, Conversion),
        *(Resource, Batch, Chat, Webhook, StreamSpec),
    )
    _, defs = msgspec.json.schema_components(records, ref_template="#/$defs/{name}")
    for name, words in (("Speech", Word), ("Transcription", IntakeWord), ("Conversion", IntakeWord)):
        slots = defs[name]["properties"]["request"]
        slots["additionalProperties"] = {"anyOf": [{"type": "string"}, slots["additionalProperties"]]}
        slots["propertyNames"] = {"enum": list(get_args(words))}  # msgspec leaves out what keys may be
    defs["ConversionAnswer"]["properties"]["facts"]["propertyNames"] = {"enum": list(get_args(Fact))}

    def keys(**kinds: type[Record]) -> dict[str, Any]:
        properties = {f"x-{key}": {"$ref": f"#/$defs/{kind.__name__}"} for key, kind in kinds.items()}
        return {"type": "object", "properties": properties}

    operation = keys(
        speech=Speech,
        job=JobSpec,
        stream=StreamSpec,
        transcription=Transcription,
        conversion=Conversion,
        pricing=Price,
        limits=Limits,
        resource=Resource,
        batch=Batch,
        chat=Chat,
        webhook=Webhook,
        source=Source,
    )
    root = keys(provider=Provider, limits=Limits)
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
