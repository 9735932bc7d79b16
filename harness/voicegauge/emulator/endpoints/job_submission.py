"""Responds to operations that start a job whose result is not audio, such as the training of a voice (`x-submit`)."""

from __future__ import annotations

from voicegauge.contract import JobTarget
from voicegauge.emulator.audio import SynthesisRequest
from voicegauge.emulator.endpoints.context import EndpointContext
from voicegauge.emulator.endpoints.job_store import PlannedSpeech
from voicegauge.emulator.http import ParsedRequest
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.emulator.state import EmulatedAccount

_EMPTY_SYNTHESIS_REQUEST = SynthesisRequest(
    text="",
    language="en",
    espeak_variant="",
    words_per_minute=0,
    pitch=0,
    sample_rate_hz=0,
    leading_silence_s=0.0,
    audio_format="wav",
    seed=0,
)
"""Placeholder for the synthesis request of a job without audio. It is never synthesized."""


class JobSubmissionEndpoint:
    """Accepts jobs without audio."""

    def __init__(self, context: EndpointContext) -> None:
        """Create an endpoint that stores jobs in the job store of `context`."""
        self._context = context

    async def respond(self, request: ParsedRequest, account: EmulatedAccount, target: JobTarget) -> EmulatedResponse:
        """Create a job, and return the response that accepts it.

        Raises:
            Rejection: the balance is too low.
        """
        context, emulation = self._context, target.target_spec.emulation
        charge = context.job_store.charge_target_price(account, target, 0)
        rng = context.job_store.create_next_rng()
        submit_s, queue_s, processing_s = (
            context.clock.scale_duration(milliseconds / 1000 * rng.lognormvariate(0, emulation.jitter))
            for milliseconds in (emulation.submit_response_ms, emulation.queue_ms, emulation.base_processing_ms)
        )
        await context.clock.sleep(submit_s)
        planned = PlannedSpeech(target, _EMPTY_SYNTHESIS_REQUEST, 0, submit_s, queue_s, processing_s)
        job = context.job_store.create_job(request, planned, account, charge)
        balance = context.accounts.get_remaining_balance(account, request.operation)
        return context.response_builder.build_submit_response(request, job, balance=balance)
