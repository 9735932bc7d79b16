"""Finds out which of the models that a user's own server lists work for the targets of the server's contract.

A server that speaks and transcribes lists recognizers and voices together, and its list need not say which is which.
"""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.api.options import LiveOptions
from voicegauge.cases.audio_input_cases import choose_recorded_sentence
from voicegauge.cases.valid_requests import add_required_fields, build_valid_speech_request
from voicegauge.client.client import Client
from voicegauge.client.exchange_log import describe_exchange
from voicegauge.client.key_destinations import read_permitted_key
from voicegauge.client.speech_request import RequestParts, build_audio_input_request, map_speech_request
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import adapt_contract_to_server
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.contract.targets import BaseTarget, Target
from voicegauge.errors import TransportError, UsageError
from voicegauge.formats.bodies import is_json
from voicegauge.transport.http import Transport

MAX_TRIED_MODELS = 8
"""Maximum number of models that are tried with one request each. A server may list hundreds."""
_CANDIDATE_TEXT = "Good morning."
"""Text that each tried model has to speak."""


async def exclude_failing_models(
    contract: Contract,
    model_names: Sequence[str],
    voice_names: Sequence[str],
    live_options: LiveOptions,
    max_wait_s: float | None,
) -> tuple[str, ...]:
    """Return the listed models without those that were tried and do not work.

    Models are tried in their order with one request each, up to the first that works. Servers of users charge nothing.

    Args:
        contract: a contract with `self_hosted`.
        model_names: the models that the server lists.
        voice_names: the voices that it lists; empty if they are not known.
        live_options: options with the base URL of the server.
        max_wait_s: maximum time of each request, in seconds; `None` for that of the transport.

    Raises:
        UsageError: none of the models that were tried works; the error message has the server's response to the first.
    """
    first_reason: str | None = None
    async with Transport() as transport:
        base_urls = live_options.find_base_urls(contract)
        key = read_permitted_key(contract, base_urls, live_options.allowed_keys)
        client = Client(contract, transport, base_urls=base_urls, key=key, max_wait_s=max_wait_s)
        for index, name in enumerate(model_names[:MAX_TRIED_MODELS]):
            adapted = adapt_contract_to_server(contract, model_names=[name], voice_names=voice_names)
            reason = await _find_reason_of_rejection(client, next(iter(_list_targets(adapted))))
            if reason is None:
                return tuple(model_names[index:])
            first_reason = first_reason or f"{name}: {reason}"
    tried = f"the {min(len(model_names), MAX_TRIED_MODELS)} models that were tried, of {len(model_names)} listed"
    raise UsageError(
        f"{contract.id}: none of {tried}, answers a valid request ({first_reason}): name one that works with --model"
    )


def _list_targets(contract: Contract) -> list[BaseTarget]:
    return [*contract.targets.values(), *contract.audio_input_targets.values()]


async def _find_reason_of_rejection(client: Client, target: BaseTarget) -> str | None:
    """Return why a valid request to `target` was not answered with what the operation returns; `None` if it was."""
    request = client.build_request(target.operation, _build_request(target))
    try:
        exchange = await client.send(request, target.operation.id)
    except TransportError as error:
        return str(error)
    body = parse_exchange(exchange).response_json if is_json(exchange.response.media_type) else None
    is_error = isinstance(body, dict) and any(body.get(name) for name in ("error", "errors", "detail"))
    is_answered = 200 <= exchange.response.status < 300 and bool(exchange.response.body) and not is_error
    return None if is_answered else describe_exchange(exchange, client)


def _build_request(target: BaseTarget) -> RequestParts:
    if isinstance(target, Target):
        return map_speech_request(target, build_valid_speech_request(target, text=_CANDIDATE_TEXT))
    recognizer = target.contract.audio_input_targets[target.name]
    return add_required_fields(
        target.operation, build_audio_input_request(recognizer, choose_recorded_sentence(recognizer).file)
    )
