"""From a planned utterance to a request in neutral words, and who is asked for it."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voicegauge.bench.planning.plan import Plan
from voicegauge.bench.planning.suite import SuiteText
from voicegauge.client import (
    Client,
    Ledger,
    RateLimiter,
    account_plans,
    client_key,
    map_speech_request,
    rate_limiter_for,
)
from voicegauge.contract import BaseTarget, Contract, Target
from voicegauge.data import data_dir
from voicegauge.emulator import RunningEmulator
from voicegauge.errors import DataError
from voicegauge.model import SpeechRequest, VoiceSample
from voicegauge.speech.audio import UndecodableAudioError, decode
from voicegauge.transport import Transport

MAX_VOICE_BYTES = 64 * 2**20
"""Larger than any documented upload limit."""


@dataclass(frozen=True)
class Access:
    """Where a provider is, and the key it wants."""

    base_urls: Mapping[str, str] = field(default_factory=dict)
    """By the contract's server name, or "" for all; empty for the contract's own."""
    key: str | None = field(default=None, repr=False)
    concurrent: int | None = None
    """Requests that the account's plan allows side by side; `None` where no document says."""
    rate_limiter: RateLimiter | None = None
    """Keeps to the requests a minute of that plan."""


def live_access(
    contracts: Sequence[Contract], base_urls: Mapping[str, str], plans: Collection[str] = ()
) -> dict[str, Access]:
    """Access to live services, by provider id; keys come from the environment.

    Args:
        contracts: of the providers.
        base_urls: where the servers are, by server name; empty for the contracts' own.
        plans: of the user's accounts; the smallest of a provider where none is named.

    Raises:
        MissingKeyError: a key is not set.
        UnknownNameError: nobody has such a plan.
    """
    chosen = account_plans(contracts, plans)
    return {
        contract.id: Access(
            base_urls,
            client_key(contract),
            chosen[contract.id].concurrent,
            rate_limiter_for(chosen[contract.id], base_urls),
        )
        for contract in contracts
    }


def emulated_access(contracts: Iterable[Contract], emulator: RunningEmulator) -> dict[str, Access]:
    """Access to an emulator, by provider id; it takes any key."""
    return {contract.id: Access({"": emulator.base_url(contract.id)}, "emulated") for contract in contracts}


def open_clients(
    contracts: Iterable[Contract],
    access: Mapping[str, Access],
    transport: Transport,
    ledger: Ledger | None,
    seed: int,
) -> dict[str, Client]:
    """A client a provider, all on one transport."""
    return {
        contract.id: Client(
            contract,
            transport,
            base_urls=access[contract.id].base_urls,
            key=access[contract.id].key,
            ledger=ledger,
            rate_limiter=access[contract.id].rate_limiter,
            seed=seed,
        )
        for contract in contracts
    }


def gates(access: Mapping[str, Access], concurrency: int) -> dict[str, asyncio.Semaphore]:
    """How many requests each provider may have in flight."""
    return {
        provider: asyncio.Semaphore(min(one.concurrent or concurrency, concurrency)) for provider, one in access.items()
    }


def reference_voice() -> VoiceSample:
    """The bundled recording that cloning targets are given where the user names none."""
    return read_voice(str(data_dir("benchmarks") / "suites" / "voice" / "reference.mp3"))


def read_voice(name: str) -> VoiceSample:
    """A voice sample from a URL, or from the file `name`.

    Raises:
        DataError: the file cannot be read, is too large or no audio.
    """
    if name.startswith(("http://", "https://")):
        return VoiceSample(url=name)
    path = Path(name)
    try:
        if path.stat().st_size > MAX_VOICE_BYTES:
            raise DataError(f"{path}: is larger than any voice sample ({MAX_VOICE_BYTES} bytes)")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        decode(data)
    except UndecodableAudioError as error:
        raise DataError(f"{path}: is no voice sample: {error}") from error
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return VoiceSample(data=data, filename=path.name, media_type=media_type)


def speech_request(target: Target, text: SuiteText, voice: VoiceSample | None = None) -> SpeechRequest:
    """What `target` is asked for.

    Args:
        target: a word it has no place for is left out.
        text: the text and its language.
        voice: the user's own voice sample, for targets that need one; the bundled
            recording stands in where a file is needed and the user gave none.
    """
    places, needs = target.speech.request, target.spec.needs
    sample = voice if "voice_sample_url" in needs or "voice_sample_upload" in needs else None
    if sample is not None and sample.data is not None and "voice_sample_upload" not in places:
        sample = None  # it takes a URL, and has a default one
    if sample is None and "voice_sample_upload" in needs:
        sample = reference_voice()
    told = "language" in places or text.language in target.spec.languages
    return SpeechRequest(text=text.text, language=text.language if told else None, voice_sample=sample)


def check_requests(plan: Plan, targets: Mapping[str, BaseTarget], voice: VoiceSample | None) -> None:
    """Shape a request for each target and language, so that what cannot be asked is known before anything is sent.

    Raises:
        UsageError: a target needs something that is missing.
    """
    kinds = {(one.target, one.text.language): one.text for row in plan.rounds for one in row}
    for (name, _), text in kinds.items():
        target = targets[name]
        if isinstance(target, Target):
            map_speech_request(target, speech_request(target, text, voice))
