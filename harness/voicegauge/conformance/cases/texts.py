"""Texts of every class: what their documents seldom speak of, and services stumble over.

Where a document says nothing, a text may be spoken or refused; it must not make the
service fail.
"""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks import ExpectedResponse
from voicegauge.client import RequestParts
from voicegauge.conformance.cases.case import ConformanceCase, rejection_statuses
from voicegauge.conformance.cases.valid_requests import is_valid_body, text_characters, with_value
from voicegauge.contract import Target

CLASSES: dict[str, str] = {
    "of many scripts": "Grüße, 你好, مرحبا, नमस्ते, 👩‍👩‍👧 and e\u0301 <b>bold</b> &amp; {x}.",
    "of blanks alone": " \t ",
    "of one character": "a",
    "of punctuation alone": "?!...",
    "with emoji": "Well done 🎉👩‍👩‍👧🏽🇺🇳!",
    "from right to left": "مرحبا بالعالم, שלום עולם",
    "with combining marks": "Z̸̧a̴͜l̶̢g̷o c\u0327a e\u0301te\u0301",
    "with control characters": "Good\u0000 morning\u0007\u200b\u202e\ufeff",
    "with line breaks": "Good morning.\r\n\r\nGood night.\u2028End",
    "of SSML": '<speak>Good <break time="1s"/> morning <prosody rate="fast">now</prosody></speak>',
    "of broken markup": "<speak>Good & <b>morning < 5 > 3 </speak",
    "of a template": "{{text}} ${text} %s {0} \\n",
    "of one very long word": "Donaudampfschifffahrtsgesellschaft" * 8,
    "of digits": "1234567890" * 4 + " 1,000.50 2026-01-01",
    "outside the basic plane": "𝔊𝔬𝔬𝔡 𝔪𝔬𝔯𝔫𝔦𝔫𝔤 𐍈 🀄",  # noqa: RUF001 - meant so
}


def text_cases(target: Target, wire: RequestParts) -> Iterator[ConformanceCase]:
    """A request for each class of text; one that the document forbids must be refused."""
    slot = target.speech.request["text"]
    place = slot.at
    if place.kind != "body" or not is_valid_body(target.operation, wire):
        return
    operation = target.operation
    for description, text in CLASSES.items():
        changed = with_value(wire, tuple(place.tokens), slot.template.replace("{}", text))
        valid = is_valid_body(operation, changed)
        yield ConformanceCase(
            id=f"{operation.contract.id}/{operation.id}: a text {description}",
            provider=operation.contract.id,
            operation=operation.id,
            target=target.name,
            expected=ExpectedResponse(
                verdict="either" if valid else "rejected",
                statuses=() if valid else rejection_statuses(operation, "invalid"),
                kind="undocumented" if valid else "invalid",
                description=f"a text {description}",
                contract_pointer=f"{operation.pointer}/x-speech/request/text",
            ),
            wire=changed,
            text_characters=text_characters(operation, changed),
        )
