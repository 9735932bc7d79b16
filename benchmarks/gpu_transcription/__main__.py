"""Compares transcripts of a GPU with those of a processor, and measures the speed and the memory of batches.

    PYTHONPATH=benchmarks python -m gpu_transcription [transcripts|memory|speed|processes ...]

- transcripts: the embedded Whisper, in the emulator's voices; fails if more than 1% of the transcripts differ.
- memory: batches in too little memory; fails if they are not halved, or have transcripts that no batch size has.
- speed: seconds and memory of a clip in batches of several sizes.
- processes: one clip in each of `--processes` processes with one thread, which share the weights; no GPU is used.

All but the first use random weights with the dimensions of an official model (`--model`), so that nothing is
downloaded. Such a model never ends a transcript; here it writes 48 tokens, as speech of some 12 seconds has.
`transcripts --device cpu` works where no GPU is.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import torch
import whisper
from listening.clips import choose_voice, list_sentences, speak

from voicegauge.speech import asr_engines
from voicegauge.speech.asr_engines import WhisperAsr, create_embedded_whisper
from voicegauge.speech.decoding import Samples
from voicegauge.speech.transcripts import ASR_SAMPLE_RATE_HZ

# Mel bands, and widths, heads and layers of encoder and decoder, with the vocabulary.
DIMENSIONS = {"tiny": (80, 384, 6, 4, 51865), "large-v3": (128, 1280, 20, 32, 51866)}
CLIP_DURATION_S = 6
TOKENS_PER_S = 6.0  # 12 + 6 * 6 = 48 tokens
MAX_DIFFERENT_SHARE = 0.01


def report(step: str, **facts: object) -> None:
    """Print one line of JSON."""
    print(json.dumps({"step": step, **facts}), flush=True)


def make_clips(count: int) -> list[Samples]:
    """Return sentences in the emulator's voices, at 16 kHz."""
    random = Random("gpu")  # noqa: S311 - not for security
    return [
        speak(random.choice(list_sentences()), choose_voice(random), ASR_SAMPLE_RATE_HZ, index).astype(np.float32)
        for index in range(count)
    ]


def transcribe_in_batches(asr: WhisperAsr, clips: Sequence[Samples], batch_size: int) -> list[str]:
    """Return the transcripts of English clips."""
    starts = range(0, len(clips), batch_size)
    return [text for start in starts for text in asr.transcribe_batch(clips[start : start + batch_size], "en")]


def compare_transcripts(clip_count: int) -> bool:
    """Compare transcripts of the embedded Whisper, without its limit of tokens, which would split batches."""
    on_processor = replace(create_embedded_whisper(), max_tokens_per_s=None)
    clips = make_clips(clip_count)
    expected = transcribe_in_batches(on_processor, clips, 1)
    asr, is_equal = replace(on_processor, uses_gpu=True), True
    for batch_size in (1, 8, 32):
        texts = transcribe_in_batches(asr, clips, batch_size)
        different = [(a, b) for a, b in zip(expected, texts, strict=True) if a != b]
        report("transcripts", clips=len(clips), batch_size=batch_size, different=len(different), examples=different[:5])
        is_equal &= len(different) <= MAX_DIFFERENT_SHARE * len(clips)
    return is_equal


def make_random_asr(model_name: str) -> WhisperAsr:
    """Return an engine with random weights on the device."""
    mels, width, heads, layers, vocabulary = DIMENSIONS[model_name]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # as the engine sets it for a model that it loads
    with torch.device(asr_engines.GPU_DEVICE), torch.no_grad():
        model = whisper.model.Whisper(
            whisper.model.ModelDimensions(mels, 1500, width, heads, layers, vocabulary, 448, width, heads, layers)
        )
        model.decoder.positional_embedding.normal_()  # whisper leaves it uninitialised
        model.decoder.token_embedding.weight.mul_(0.1)
        model.decoder.token_embedding.weight[50257:] = 0  # special tokens are never the likeliest
        for block in model.decoder.blocks:
            for weight in block.cross_attn.parameters():
                weight.mul_(10)
    asr = WhisperAsr(model_name, Path("random"), "random", False, uses_gpu=True, max_tokens_per_s=TOKENS_PER_S)
    vars(asr)["_model"] = model.eval()
    return asr


def count_model_bytes(asr: WhisperAsr) -> int:
    """Return the size of the weights."""
    return sum(weight.nbytes for weight in vars(asr)["_model"].parameters())


def make_short_clips(count: int) -> list[Samples]:
    """Return speech of one length."""
    return [np.resize(clip, CLIP_DURATION_S * ASR_SAMPLE_RATE_HZ) for clip in make_clips(count)]


def measure_memory(model_name: str) -> bool:
    """Limit the memory of the GPU to what a part of a batch takes, then to less than one clip takes."""
    asr, clips = make_random_asr(model_name), make_short_clips(8)
    # Sums are rounded in another order in batches of another size, and random weights write words that are almost
    # equally likely: the transcripts are compared with those of all sizes into which a batch may be halved.
    by_size = [transcribe_in_batches(asr, clips, size) for size in (1, 2, 4, 8)]
    model_bytes, total_bytes = count_model_bytes(asr), torch.cuda.mem_get_info()[1]
    peak_bytes, sizes, decode = torch.cuda.max_memory_allocated() - model_bytes, [], whisper.decode
    whisper.decode = lambda *arguments: sizes.append(len(arguments[1])) or decode(*arguments)
    is_right, error_name = True, ""
    for share in (1.2, 0.6, 0.3, 0.05):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction((model_bytes + share * peak_bytes) / total_bytes)
        sizes.clear()
        try:
            texts = asr.transcribe_batch(clips, "en")
            different = sum(text not in expected for text, *expected in zip(texts, *by_size, strict=True))
        except torch.cuda.OutOfMemoryError as error:
            error_name, different = type(error).__name__, 0
        report("memory", share_of_batch=share, decoded=sizes, different=different, error=error_name)
        is_right &= different == 0 and bool(error_name) == (share == 0.05)
    torch.cuda.set_per_process_memory_fraction(1.0)
    whisper.decode = decode
    return is_right


def measure_speed(model_name: str, batch_sizes: Sequence[int]) -> None:
    """Measure batches of several sizes, and one of 8 clips with the largest number of tokens."""
    asr, clips = make_random_asr(model_name), make_short_clips(max(8, *batch_sizes))
    unlimited = replace(asr, max_tokens_per_s=None)
    vars(unlimited)["_model"] = vars(asr)["_model"]
    for engine, batch_size in [*((asr, size) for size in batch_sizes), (unlimited, 8)]:
        times_s = []
        for _ in range(4):
            torch.cuda.reset_peak_memory_stats()
            began_s = time.perf_counter()
            engine.transcribe_batch(clips[:batch_size], "en")  # returns text, so the GPU has finished
            times_s.append(time.perf_counter() - began_s)
        seconds = statistics.median(times_s[1:])
        report(
            "speed",
            tokens=engine.compute_max_tokens(clips[0]),
            batch_size=batch_size,
            s_per_clip=seconds / batch_size,
            clips_per_s=batch_size / seconds,
            mb_per_clip=(torch.cuda.max_memory_allocated() - count_model_bytes(asr)) / 1e6 / batch_size,
        )


def measure_processes(model_name: str, processes: int) -> None:
    """Transcribe one clip in each of some processes with one thread, which share the weights."""
    asr, clips = make_random_asr(model_name), make_short_clips(processes)
    fork = multiprocessing.get_context("fork").Process  # so that the weights are in the memory once
    for count in sorted({1, processes}):
        children = [fork(target=asr.transcribe, args=(clip, "en")) for clip in clips[:count]]
        began_s = time.perf_counter()
        for child in children:
            child.start()
        for child in children:
            child.join()
        seconds = time.perf_counter() - began_s
        failed = sum(child.exitcode != 0 for child in children)
        report("processes", processes=count, seconds=seconds, clips_per_s=count / seconds, failed=failed)


def main() -> int:
    """Run the steps; return the exit status."""
    parser = argparse.ArgumentParser(prog="gpu_transcription")
    parser.add_argument("steps", nargs="*", default=["transcripts", "memory", "speed", "processes"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default="large-v3", choices=DIMENSIONS)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=(1, 2, 4, 8, 16, 32))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    asr_engines.GPU_DEVICE = options.device
    has_passed = True
    if "transcripts" in options.steps:
        has_passed = compare_transcripts(options.clips)
    if "memory" in options.steps:
        has_passed &= measure_memory(options.model)
    if "speed" in options.steps:
        measure_speed(options.model, options.batch_sizes)
    if "processes" in options.steps:
        asr_engines.GPU_DEVICE = "cpu"
        measure_processes(options.model, options.processes)
    return 0 if has_passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
