"""Decodes several clips with openai-whisper at once. A GPU needs little more time for them than for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicegauge.speech.asr.engine_interface import Samples
from voicegauge.speech.asr.windowed_whisper import fits_into_window

MIN_CLIP_SAMPLES = 160
"""Smallest number of samples of a clip: one frame of the spectrogram. `whisper.transcribe` returns no text for shorter
clips."""


def can_be_batched(samples: Samples) -> bool:
    """Whether a clip at 16 kHz can share a batch.

    A clip that is longer than one window cannot, because the end of a transcript decides where the next window begins.
    """
    return len(samples) >= MIN_CLIP_SAMPLES and fits_into_window(samples)


def decode_windows(
    model: Any, clips: Sequence[Samples], *, language: str, max_tokens: int, no_speech_threshold: float | None
) -> list[str | None]:
    """Return the transcript of each clip, with the options and the result that `whisper.transcribe` has for one clip.

    If the memory of the GPU is too small for all clips, each half is decoded on its own.

    Args:
        model: a model of openai-whisper.
        clips: clips at 16 kHz for which `can_be_batched` is true.
        language: language of all clips, as Whisper names it: "en".
        max_tokens: maximum number of tokens of each transcript.
        no_speech_threshold: probability of silence above which the transcript is empty; `None` disables the check.

    Returns:
        The transcripts in the order of the clips; `None` for a clip that has to be transcribed alone, because the model
        has written timestamps although none were requested.
    """
    import torch
    import whisper
    from whisper.audio import N_FRAMES, N_SAMPLES
    from whisper.tokenizer import get_tokenizer

    tokenizer = get_tokenizer(
        model.is_multilingual, num_languages=model.num_languages, language=language, task="transcribe"
    )
    options = whisper.DecodingOptions(
        task="transcribe",
        language=language,
        temperature=0.0,
        sample_len=max_tokens,
        without_timestamps=True,
        fp16=False,
    )

    def compute_window(samples: Samples) -> Any:
        # As whisper.transcribe does: with silence after the clip, which is then replaced by zeros.
        spectrogram = whisper.log_mel_spectrogram(samples, model.dims.n_mels, padding=N_SAMPLES)
        return whisper.pad_or_trim(spectrogram[:, : spectrogram.shape[-1] - N_FRAMES], N_FRAMES)

    def read_transcript(result: Any) -> str | None:
        if no_speech_threshold is not None and result.no_speech_prob > no_speech_threshold:
            return ""
        if any(token >= tokenizer.timestamp_begin for token in result.tokens):
            return None
        return str(result.text)

    def decode(windows: Any) -> list[Any]:
        try:
            return list(whisper.decode(model, windows, options))
        except torch.cuda.OutOfMemoryError:
            if len(windows) == 1:
                raise
        torch.cuda.empty_cache()
        middle = len(windows) // 2
        return decode(windows[:middle]) + decode(windows[middle:])

    windows = torch.stack([compute_window(samples) for samples in clips]).to(model.device)
    return [read_transcript(result) for result in decode(windows)]
