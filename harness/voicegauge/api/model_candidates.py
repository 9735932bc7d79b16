"""Finds out which of the models that a server of the user's own lists works for the targets of its contract.

A server that speaks and transcribes lists recognizers and voices together, and its list need not say which is which.
"""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.api.options import LiveOptions
from voicegauge.cases.audio_input import choose_recorded_sentence
from voicegauge.cases.valid_requests import add_required_fields, build_valid_speech_request
from voicegauge.client.audio_input import build_audio_input_request
from voicegauge.client.client import Client
from voicegauge.client.key_destinations import read_permitted_key
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import adapt_contract_to_server
from voicegauge.contract.targets import BaseTarget, Target
from voicegauge.errors import TransportError
from voicegauge.transport.http import Transport

MAX_TRIED_MODELS = 8
"""Maximum number of models that are tried with one request each. A server may list hundreds."""
_CANDIDATE_TEXT = "Good morning."


async def sort_out_models(
    contract: Contract,
    model_names: Sequence[str],
    voice_names: Sequence[str],
    live_options: LiveOptions,
    max_wait_s: float | None,
) -> tuple[str, ...]:
    """Return the models that work, and those that were not tried; all of them if none works.

    Models are tried in their order with one request each, up to the first that works. Servers of users charge nothing.

    Args:
        contract: a contract with `self_hosted`.
        model_names: the models that the server lists.
        voice_names: the voices that it lists; empty if they are not known.
        live_options: options with the base URL of the server.
        max_wait_s: maximum time of each request, in seconds; `None` for that of the transport.
    """
    async with Transport() as transport:
        base_urls = live_options.find_base_urls(contract)
        key = read_permitted_key(contract, base_urls, live_options.allowed_keys)
        client = Client(contract, transport, base_urls=base_urls, key=key, max_wait_s=max_wait_s)
        for index, name in enumerate(model_names[:MAX_TRIED_MODELS]):
            adapted = adapt_contract_to_server(contract, model_names=[name], voice_names=voice_names)
            if await _accepts_request(client, next(iter(_list_targets(adapted)))):
                return tuple(model_names[index:])
    return tuple(model_names)


def _list_targets(contract: Contract) -> list[BaseTarget]:
    return [*contract.targets.values(), *contract.audio_input_targets.values()]


async def _accepts_request(client: Client, target: BaseTarget) -> bool:
    """Whether the server responds to a valid request to `target` with what the operation returns."""
    request = client.build_request(target.operation, _build_request(target))
    try:
        response = (await client.send(request, target.operation.id)).response
    except TransportError:
        return False
    return 200 <= response.status < 300 and bool(response.body)


def _build_request(target: BaseTarget) -> RequestParts:
    if isinstance(target, Target):
        return map_speech_request(target, build_valid_speech_request(target, text=_CANDIDATE_TEXT))
    recognizer = target.contract.audio_input_targets[target.name]
    return add_required_fields(
        target.operation, build_audio_input_request(recognizer, choose_recorded_sentence(recognizer).file)
    )
