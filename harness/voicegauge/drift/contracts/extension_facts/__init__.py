"""Tables of the facts that are compared for each `x-` extension of two contracts, with one row per fact.

A row names a value in the record of an extension (`voicegauge.contract.extension`), how two such values are compared,
and the level of each kind of difference. Values without a row are not compared: titles, sources and everything that
only the emulator uses.
"""

from voicegauge.drift.contracts.extension_facts.audio_and_price_facts import PRICING_FACTS
from voicegauge.drift.contracts.extension_facts.audio_input_facts import CONVERSION_FACTS, TRANSCRIPTION_FACTS
from voicegauge.drift.contracts.extension_facts.extension_fact import ComparisonMethod, ExtensionFact
from voicegauge.drift.contracts.extension_facts.job_facts import JOB_FACTS, WEBHOOK_FACTS
from voicegauge.drift.contracts.extension_facts.operation_facts import IDEMPOTENCY_FACTS, RESOURCE_FACTS, SUBMIT_FACTS
from voicegauge.drift.contracts.extension_facts.provider_facts import API_KEY_FACTS, LIMITS_FACTS, PROVIDER_FACTS
from voicegauge.drift.contracts.extension_facts.speech_facts import BATCH_FACTS, CHAT_FACTS, SPEECH_FACTS, STREAM_FACTS

__all__ = [
    "API_KEY_FACTS",
    "BATCH_FACTS",
    "CHAT_FACTS",
    "CONVERSION_FACTS",
    "IDEMPOTENCY_FACTS",
    "JOB_FACTS",
    "LIMITS_FACTS",
    "PRICING_FACTS",
    "PROVIDER_FACTS",
    "RESOURCE_FACTS",
    "SPEECH_FACTS",
    "STREAM_FACTS",
    "SUBMIT_FACTS",
    "TRANSCRIPTION_FACTS",
    "WEBHOOK_FACTS",
    "ComparisonMethod",
    "ExtensionFact",
]
