"""Whisper, small, with what it needs to learn: a CTC head, and attention that can be guided."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from whisper.model import ModelDimensions, Whisper

from embedded_whisper.batches import FULL_FRAMES, Batch
from embedded_whisper.phonemes import symbols
from embedded_whisper.spelling import IGNORED, tokens

WIDTH, HEADS, ENCODER_LAYERS, DECODER_LAYERS = 128, 4, 4, 3
VOCABULARY = 51_864
"""Whisper's English vocabulary; it cannot be smaller."""
GUIDED_HEADS, FIRST_GUIDED_LAYER = 2, 1
"""Heads of each cross attention, from this decoder layer on, that are shown where the words are."""
NEAR_GUESSED, NEAR_ALIGNED = 15, 8
"""Encoder frames about a word's middle that guided attention may look at: standard deviations."""


class Network(nn.Module):
    """Whisper over the tokens that occur, with a CTC head on its encoder that is thrown away afterwards."""

    def __init__(self) -> None:
        super().__init__()
        dims = ModelDimensions(
            80,
            FULL_FRAMES,
            WIDTH,
            HEADS,
            ENCODER_LAYERS,
            len(tokens()),
            448,
            WIDTH,
            HEADS,
            DECODER_LAYERS,
        )
        self.whisper = Whisper(dims)
        nn.init.normal_(self.whisper.decoder.positional_embedding, std=0.02)
        nn.init.normal_(self.whisper.decoder.token_embedding.weight, std=WIDTH**-0.5)
        self.unused = nn.Parameter(torch.zeros(WIDTH))
        self.phonemes = nn.Linear(WIDTH, len(symbols()))

    def encode(self, mel: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Mel of shape (batch, 80, 2 * frames) as features (batch, frames + padding, width), and the bias of attention.

        `padding` are positions behind the clips. Silence sounds the same at each of them, so that a few stand
        for all: each weighs as many times as there are positions to one of them.
        """
        encoder = self.whisper.encoder
        x = F.gelu(encoder.conv1(mel))
        x = F.gelu(encoder.conv2(x)).permute(0, 2, 1)
        frames = x.shape[1]
        positions, bias = torch.arange(frames, device=x.device), None
        if padding is not None:
            x = torch.cat([x, x[:, -3:-2].expand(-1, len(padding), -1)], dim=1)
            positions = torch.cat([positions, padding])
            bias = torch.zeros(1, len(positions), device=x.device)
            bias[:, frames:] = math.log((FULL_FRAMES - frames) / len(padding))
        x = x + encoder.positional_embedding[positions]
        for block in encoder.blocks:
            x = x + attend(block.attn, block.attn_ln(x), bias=bias)
            x = x + block.mlp(block.mlp_ln(x))
        return encoder.ln_post(x), bias

    def decode(self, sequences: Tensor, features: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits of shape (batch, length, occurring tokens + 1): the last stands for all tokens that never occur.

        And where the guided heads looked: (batch, heads, length, frames + padding).
        """
        decoder = self.whisper.decoder
        x = decoder.token_embedding(sequences) + decoder.positional_embedding[: sequences.shape[1]]
        guided = []
        for number, block in enumerate(decoder.blocks):
            x = x + attend(block.attn, block.attn_ln(x), causal=True)
            context, looks = look(block.cross_attn, block.cross_attn_ln(x), features, bias)
            x = x + context
            x = x + block.mlp(block.mlp_ln(x))
            if number >= FIRST_GUIDED_LAYER:
                guided.append(looks[:, :GUIDED_HEADS])
        rows = torch.cat([decoder.token_embedding.weight, self.unused[None]])
        logits = decoder.ln(x) @ rows.T
        # One row, shared by every token that never occurs, is learned once and compresses to nothing.
        rare = logits[..., -1:] + math.log(VOCABULARY - len(tokens()))
        return torch.cat([logits[..., :-1], rare], dim=-1), torch.cat(guided, dim=1)

    def losses(self, batch: Batch, *, aligned: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Cross entropy of the decoder, CTC loss of the encoder, and how far guided attention looks from the words.

        Where the words are is what the CTC head says if `aligned`, else the batch's guess.
        """
        features, bias = self.encode(batch.mel, batch.padding)
        scores, looks = self.decode(batch.tokens[:, :-1], features, bias)
        decoder = F.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
        encoded = features[:, : int(batch.frames[0])]
        spoken = F.log_softmax(self.phonemes(encoded), dim=-1).transpose(0, 1)
        ctc = F.ctc_loss(
            spoken,
            batch.phonemes,
            batch.frames,
            batch.phoneme_counts,
            zero_infinity=True,
        )
        if aligned:
            # The logarithm pulls a look from afar too; a mere guess must not pull so hard.
            guide = -torch.log(1 + 1e-6 - stray(looks, batch.middles(spoken), NEAR_ALIGNED)).mean()
        else:
            guide = stray(looks, batch.centres, NEAR_GUESSED).mean()
        return decoder, ctc, guide


def attend(layer: Any, x: Tensor, bias: Tensor | None = None, *, causal: bool = False) -> Tensor:
    """Whisper's self attention, which by itself takes no bias."""
    mixed = F.scaled_dot_product_attention(*split(layer, x, x), attn_mask=bias, is_causal=causal)
    return layer.out(mixed.transpose(1, 2).flatten(2))


def look(layer: Any, x: Tensor, features: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Whisper's cross attention, and its weights: (batch, heads, length, frames + padding)."""
    query, key, value = split(layer, x, features)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    weights = (scores if bias is None else scores + bias).softmax(dim=-1)
    return layer.out((weights @ value).transpose(1, 2).flatten(2)), weights


def split(layer: Any, x: Tensor, source: Tensor) -> list[Tensor]:
    """Queries, keys and values by head: (batch, heads, length, width / heads)."""
    projected = (layer.query(x), layer.key(source), layer.value(source))
    return [part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in projected]


def stray(looks: Tensor, centres: Tensor, near: float) -> Tensor:
    """The share of each look that goes elsewhere than to the word being said (Tachibana et al., 2018, about words).

    Of shape (looks,): of each head at each token that is part of a word.
    """
    frames = torch.arange(looks.shape[-1], device=looks.device)
    close = torch.exp(-(((frames - centres[..., None]) / near) ** 2) / 2)
    lost = 1 - (looks * close[:, None]).sum(dim=-1)
    return lost.transpose(1, 2)[centres >= 0].flatten()
