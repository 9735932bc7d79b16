"""The encoder of the embedded Whisper with a CTC head of phonemes, for training."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from whisper.model import AudioEncoder

from voicegauge.speech.phoneme_network import ATTENTION_HEAD_COUNT, SYMBOL_COUNT
from voicegauge.speech.whisper_installation import load_embedded_checkpoint


class PhonemeNetwork(nn.Module):
    """Gives the log probabilities of symbols: `voicegauge.speech.phoneme_network` computes the same with NumPy."""

    def __init__(self) -> None:
        """Begin with the encoder of the embedded Whisper, and a random head."""
        super().__init__()
        checkpoint = load_embedded_checkpoint()
        dims = checkpoint.dimensions
        self.encoder = AudioEncoder(
            dims["n_mels"], dims["n_audio_ctx"], dims["n_audio_state"], ATTENTION_HEAD_COUNT, dims["n_audio_layer"]
        )
        prefix = "encoder."
        weights = {name: torch.from_numpy(value) for name, value in checkpoint.weights.items()}
        self.encoder.load_state_dict({n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)})
        self.head = nn.Linear(dims["n_audio_state"], SYMBOL_COUNT)

    def forward(self, mel: Tensor) -> Tensor:
        """Mel of shape (clips, 80, 2 * frames) to log probabilities of shape (frames, clips, symbols)."""
        encoder = self.encoder
        x = F.gelu(encoder.conv1(mel))
        x = F.gelu(encoder.conv2(x)).permute(0, 2, 1)
        x = x + encoder.positional_embedding[: x.shape[1]]
        for block in encoder.blocks:
            x = block(x)
        return F.log_softmax(self.head(encoder.ln_post(x)), dim=-1).transpose(0, 1)
