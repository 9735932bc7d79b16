"""Inconsistencies of `x-resource`, `x-batch` and `x-chat` are rejected with their line."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("change", "to", "message"),
    [
        ("id: body#/public_id", "id: body#/publicId", "is not in the documented response of createUserVoice"),
        ("states: [active, archived]", "states: []", "needs both state and states"),
        (
            "{operation: listUserVoices, count",
            "{operation: listVoicesOfUsers, count",
            "is not an operation of this document",
        ),
        (
            "{operation: deleteUserVoice, id: query.public_id}",
            "{operation: deleteUserVoice, id: public_id}",
            "is not a valid location",
        ),
        ("id: path.public_id, state: archived}", "id: path.public_id, state: away}", "is not among x-resource.states"),
        ("id: path.public_id, state: archived}", "id: path.voice, state: archived}", "has no {voice}"),
        ("states: [active]", "states: [asleep]", "is not among x-resource.states"),
        ("server: web-api\n", "server: nowhere\n", "is not a server of this document"),
        ('replaces: ["body#/reference_audio"]', 'replaces: ["body#/reference"]', "is not in the documented request"),
        ("item_operation: submitSpeech", "item_operation: createSpeech", "must respond with a job"),
        ("text: body#/texts/0/text", "text: body#/webhook_url", "is not inside the first item of body#/texts"),
        ("results: body#/items", "results: body#/results", "is not in the documented response of getBatchResult"),
        ("emulation_target: kokoro", "emulation_target: nobody", "is not a target of this document"),
        ("reply: body#/ai_text", "reply: body#/answer", "is not in the documented response of chat"),
    ],
)
def test_an_inconsistency_is_rejected_with_its_line(rejected_edit, change, to, message) -> None:
    assert message in rejected_edit(change, to)
