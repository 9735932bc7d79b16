"""Responds to chat operations, whose input is text or speech, and whose reply is text and speech.

No model generates the replies: they are fixed phrases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from voicegauge.contract import MISSING, Target
from voicegauge.contract.extension import ChatSpec
from voicegauge.emulator.audio import read_synthesis_request, transcribe_upload
from voicegauge.emulator.endpoints.context import EndpointContext
from voicegauge.emulator.endpoints.resources import StoredResource
from voicegauge.emulator.http import (
    DEFAULT_ID_TEMPLATE,
    ParsedRequest,
    Rejection,
    fill_random_hex,
    find_default_value,
    write_value_at,
)
from voicegauge.emulator.responses import EmulatedResponse, build_default_body, build_success_response
from voicegauge.emulator.state import EmulatedAccount
from voicegauge.formats import Location
from voicegauge.model import UploadedFile

MAX_QUOTED_CHARACTERS = 200
"""Maximum number of characters that a reply quotes from a message, which keeps the reply's audio short."""


class ChatEndpoint:
    """Responds to chat requests."""

    def __init__(self, context: EndpointContext) -> None:
        """Create an endpoint that stores conversations in the resources of `context`."""
        self._context = context

    async def respond(
        self,
        request: ParsedRequest,
        chat_spec: ChatSpec,
        account: EmulatedAccount,
        continued_conversations: list[StoredResource],
    ) -> EmulatedResponse:
        """Return the reply to one turn.

        Args:
            request: the chat request.
            chat_spec: the documented locations of the message, the reply and the audio.
            account: the account that is charged.
            continued_conversations: the stored conversation that the request continues; empty if it starts a new one.

        Raises:
            Rejection: there is no message, or the balance is too low.
        """
        context = self._context
        response = build_success_response(request.operation, "other", build_default_body)
        recording = _read_spoken_message(request, chat_spec)
        message = (
            _read_text_message(request, chat_spec) if recording is None else await transcribe_upload(recording, "audio")
        )
        charge = context.job_store.charge_price(account, request.operation.pricing)
        messages = [message]
        if request.operation.resource is not None:
            now, rng = context.clock.now(), context.job_store.create_next_rng()
            conversation = continued_conversations[0] if continued_conversations else None
            if conversation is None:
                conversation = context.resources.create_resource(request, response, account, now, rng)
            conversation.conversation_messages.append(message)
            messages = conversation.conversation_messages
            response.body = write_value_at(response.body, conversation.resource_spec.id_location, conversation.id)
        reply = _compose_reply(messages)
        url = self._add_spoken_reply(request, chat_spec, reply)
        values = (
            (chat_spec.transcript_location, message),
            (chat_spec.reply_text_location, reply),
            (chat_spec.reply_audio.location, url),
            (chat_spec.charge_location, charge),
        )
        for location, value in values:
            if location is not None and value is not None:
                response.body = write_value_at(response.body, location, value)
        return response

    def _add_spoken_reply(self, request: ParsedRequest, chat_spec: ChatSpec, reply_text: str) -> str:
        """Make the spoken reply available for download, and return its URL."""
        context = self._context
        target = context.contract.find_target_by_name(chat_spec.emulated_target_name)
        speech_request = _build_speech_request(request, target, reply_text, chat_spec.voice_location)
        synthesis = read_synthesis_request(speech_request, target, chat_spec.reply_audio, context.settings.seed)
        media_id = fill_random_hex(DEFAULT_ID_TEMPLATE, context.job_store.create_next_rng())
        context.downloads.add_speech(media_id, target, synthesis)
        return context.response_builder.build_audio_url(
            request.incoming_request.base_url, chat_spec.reply_audio, media_id, synthesis.audio_format
        )


def _read_spoken_message(request: ParsedRequest, chat_spec: ChatSpec) -> UploadedFile | None:
    value = request.read_value(chat_spec.audio_location) if chat_spec.audio_location is not None else MISSING
    return value if isinstance(value, UploadedFile) else None


def _read_text_message(request: ParsedRequest, chat_spec: ChatSpec) -> str:
    text = request.read_value(chat_spec.text_location)
    if not isinstance(text, str) or not text.strip():
        raise Rejection("invalid", chat_spec.text_location.pointer_tokens[-1], "the message is empty")
    return text


def _compose_reply(messages: Sequence[str]) -> str:
    """Return a reply that states the number of turns and quotes the previous turn, so that tests can check memory."""
    reply = f"This is an emulated answer, turn {len(messages)}. You said: {messages[-1][:MAX_QUOTED_CHARACTERS]}"
    return reply if len(messages) < 2 else f"{reply} Before that, you said: {messages[-2][:MAX_QUOTED_CHARACTERS]}"


def _build_speech_request(
    request: ParsedRequest, target: Target, text: str, voice_location: Location | None
) -> ParsedRequest:
    """Return a request to `target` that speaks `text`, with the voice that `request` has at `voice_location`."""
    fields: dict[str, Any] = {"text": text}
    if voice_location is not None:
        requested = request.read_value(voice_location)
        fields["voice"] = find_default_value(request, voice_location) if requested is MISSING else requested
    body: Any = None
    for field, value in fields.items():
        slot = target.speech.request_fields.get(field)  # type: ignore[call-overload]  # both are speech fields
        if slot is not None and isinstance(value, str):
            body = slot.location.write_body(body, value)
    media = next(iter(target.operation.request_media.values()))
    return replace(request, operation=target.operation, body=body, documented_media_type=media)
