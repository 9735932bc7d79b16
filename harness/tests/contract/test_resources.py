"""Inconsistencies of `x-resource`, `x-batch` and `x-chat` are rejected with their line."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("change", "to", "message"),
    [
        (
            "id_location: body#/public_id",
            "id_location: body#/publicId",
            "is not in the documented response of createUserVoice",
        ),
        ("states: [active, archived]", "states: []", "needs both state_location and states"),
        (
            "{operation_id: listUserVoices, count_location",
            "{operation_id: listVoicesOfUsers, count_location",
            "is not an operation of this document",
        ),
        (
            "{operation_id: deleteUserVoice, id_location: query.public_id}",
            "{operation_id: deleteUserVoice, id_location: public_id}",
            "is not a valid location",
        ),
        (
            "id_location: path.public_id, resulting_state: archived}",
            "id_location: path.public_id, resulting_state: away}",
            "is not among x-resource.states",
        ),
        (
            "id_location: path.public_id, resulting_state: archived}",
            "id_location: path.voice, resulting_state: archived}",
            "has no {voice}",
        ),
        ("states: [active]", "states: [asleep]", "is not among x-resource.states"),
        ("server_name: web-api\n", "server_name: nowhere\n", "is not a server of this document"),
        (
            'replaced_locations: ["body#/reference_audio"]',
            'replaced_locations: ["body#/reference"]',
            "is not in the documented request",
        ),
        ("item_operation_id: submitSpeech", "item_operation_id: createSpeech", "must respond with a job"),
        ("text: body#/texts/0/text", "text: body#/webhook_url", "is not inside the first item of body#/texts"),
        (
            "jobs_location: body#/items",
            "jobs_location: body#/results",
            "is not in the documented response of getBatchResult",
        ),
        ("emulated_target_name: kokoro", "emulated_target_name: nobody", "is not a target of this document"),
        (
            "reply_text_location: body#/ai_text",
            "reply_text_location: body#/answer",
            "is not in the documented response of chat",
        ),
    ],
)
def test_an_inconsistency_is_rejected_with_its_line(rejected_edit, change, to, message) -> None:
    assert message in rejected_edit(change, to)
