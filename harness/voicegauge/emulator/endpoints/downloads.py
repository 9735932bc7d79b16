"""Serves the audio that clients download: from jobs, from speech responses and from processed uploads."""

from __future__ import annotations

from collections import OrderedDict

from voicegauge.contract import Target
from voicegauge.emulator.audio import SpeechSynthesizer, SynthesisRequest, SynthesizedSpeech
from voicegauge.emulator.endpoints.job_store import JobStore
from voicegauge.emulator.faults import FaultInjector
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.emulator.state import AudioFileStore, EmulatedJob
from voicegauge.speech.audio import find_media_type_of_format

MAX_SPEECH_FILES = 20_000
"""Maximum number of speech files that can be downloaded; older files are forgotten, so that memory stays bounded. Only
the parameters of the synthesis are stored, not the audio."""


class AudioDownloads:
    """Finds or synthesizes the audio behind the URLs of one provider."""

    def __init__(self, job_store: JobStore, synthesizer: SpeechSynthesizer, fault_injector: FaultInjector) -> None:
        """Start without files; the audio of jobs comes from `job_store`."""
        self._job_store, self._fault_injector = job_store, fault_injector
        self.synthesizer = synthesizer
        self.files = AudioFileStore()
        """Audio made from uploads, each under its file name."""
        self._speech: OrderedDict[str, tuple[Target, SynthesisRequest]] = OrderedDict()

    def add_speech(self, media_id: str, target: Target, synthesis: SynthesisRequest) -> None:
        """Make speech available as `media_id`; it is synthesized when it is downloaded."""
        self._speech[media_id] = (target, synthesis)
        while len(self._speech) > MAX_SPEECH_FILES:
            self._speech.popitem(last=False)

    async def synthesize_with_faults(self, target: Target, synthesis: SynthesisRequest) -> SynthesizedSpeech:
        """Return encoded speech, changed by the faults of `target`."""
        return await self.synthesizer.synthesize(self._fault_injector.change_synthesis(synthesis, target))

    async def find_download_response(self, file_name: str) -> EmulatedResponse | None:
        """Return the response with the file `file_name`, which may have an extension.

        Return `None` if the file does not exist or is not ready yet.
        """
        for media_id in (file_name, file_name.rpartition(".")[0]):
            job = self._job_store.jobs.get(media_id)
            if job is not None and self._job_store.has_succeeded(job):
                return await self._build_speech_download(job.target, job.synthesis, job)
            generated = self.files.find_file(media_id)
            if generated is not None:
                response = EmulatedResponse(
                    "audio", 200, generated.audio_bytes, find_media_type_of_format(generated.audio_format)
                )
                response.audio_format = generated.audio_format
                return response
            if media_id in self._speech:
                return await self._build_speech_download(*self._speech[media_id], None)
        return None

    async def _build_speech_download(
        self, target: Target, synthesis: SynthesisRequest, job: EmulatedJob | None
    ) -> EmulatedResponse:
        speech = await self.synthesize_with_faults(target, synthesis)
        response = EmulatedResponse(
            "audio", 200, speech.audio_bytes, find_media_type_of_format(synthesis.audio_format), target=target, job=job
        )
        response.audio_format = synthesis.audio_format
        return response
