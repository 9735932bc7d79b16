"""The network for the training: a small Whisper with a CTC head, and with attention that can be guided."""

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
"""Size of Whisper's English vocabulary, which its tokenizer requires."""
GUIDED_HEADS, FIRST_GUIDED_LAYER = 2, 1
"""Number of heads of each cross attention whose attention is guided to the position of the words, and the first decoder
layer with such heads."""
NEAR_GUESSED, NEAR_ALIGNED = 15, 8
"""Distance from the middle of a word at which guided attention is still right, as a standard deviation in encoder
frames: for estimated positions, and for those found by alignment."""


class Network(nn.Module):
    """A Whisper for the tokens that can occur, with a CTC head on its encoder that is used in training only."""

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
        """Return the features of clips, of shape (batch, frames + padding, width), and the bias of attention.

        Args:
            mel: log mel spectra of shape (batch, 80, 2 * frames).
            padding: positions after the clips. Silence has the same features at all of them, so that a few represent
                all, each with a larger weight.
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
        """Return the logits, and the attention weights of the guided heads.

        The logits have the shape (batch, length, occurring tokens + 1); the last one represents all tokens that never
        occur. The weights have the shape (batch, heads, length, frames + padding).
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
        """Return the cross entropy of the decoder, the CTC loss of the encoder, and the loss of guided attention.

        The last one measures how far the attention is from the words. The positions of words are found by alignment
        with the CTC head if `aligned` is true, and otherwise are those that the batch estimates.
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
    """Return the output of Whisper's self attention with a bias, which the layer itself does not accept."""
    mixed = F.scaled_dot_product_attention(*split(layer, x, x), attn_mask=bias, is_causal=causal)
    return layer.out(mixed.transpose(1, 2).flatten(2))


def look(layer: Any, x: Tensor, features: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the output of Whisper's cross attention, and its weights: (batch, heads, length, frames + padding)."""
    query, key, value = split(layer, x, features)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    weights = (scores if bias is None else scores + bias).softmax(dim=-1)
    return layer.out((weights @ value).transpose(1, 2).flatten(2)), weights


def split(layer: Any, x: Tensor, source: Tensor) -> list[Tensor]:
    """Return queries, keys and values by head, each of shape (batch, heads, length, width / heads)."""
    projected = (layer.query(x), layer.key(source), layer.value(source))
    return [part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in projected]


def stray(looks: Tensor, centres: Tensor, near: float) -> Tensor:
    """Return the share of attention that is not near the word of the token (as Tachibana et al., 2018, for words).

    The result has one value for each head and each token that is part of a word.
    """
    frames = torch.arange(looks.shape[-1], device=looks.device)
    close = torch.exp(-(((frames - centres[..., None]) / near) ** 2) / 2)
    lost = 1 - (looks * close[:, None]).sum(dim=-1)
    return lost.transpose(1, 2)[centres >= 0].flatten()
