"""Texts that documents seldom mention and that services stumble over.

Where such a text is not documented, the service may accept or reject it, but must not fail.
"""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.client import RequestParts
from voicegauge.conformance.cases.case import ConformanceCase, expect_invalid, expect_undocumented, make_case
from voicegauge.conformance.cases.valid_requests import is_valid_body, text_characters, with_value
from voicegauge.contract import Target

UNUSUAL_TEXTS: dict[str, str] = {
    "of many scripts": "Grüße, 你好, مرحبا, नमस्ते, 👩‍👩‍👧 and e\u0301 <b>bold</b> &amp; {x}.",
    "of only white space": " \t ",
    "of one character": "a",
    "of only punctuation": "?!...",
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
    "outside the basic plane": "𝔊𝔬𝔬𝔡 𝔪𝔬𝔯𝔫𝔦𝔫𝔤 𐍈 🀄",  # noqa: RUF001 - letters beyond U+FFFF are the point
}
"""A text of each kind, by the words that describe it."""


def text_cases(target: Target, request: RequestParts) -> Iterator[ConformanceCase]:
    """Yield a request with each unusual text; one that breaks the schema must be rejected."""
    field, operation = target.speech.request["text"], target.operation
    if field.at.kind != "body" or not is_valid_body(operation, request):
        return
    pointer = f"{operation.pointer}/x-speech/request/text"
    for kind, text in UNUSUAL_TEXTS.items():
        changed = with_value(request, field.at.tokens, field.template.replace("{}", text))
        description = f"a text {kind}"
        if is_valid_body(operation, changed):
            expected = expect_undocumented(description, pointer)
        else:
            expected = expect_invalid(operation, description, pointer)
        yield make_case(
            operation,
            expected,
            target=target.name,
            request=changed,
            text_characters=text_characters(operation, changed),
        )
