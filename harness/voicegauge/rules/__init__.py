"""The rules that exchanges must satisfy, and what they look at; rules never open a connection.

Importing this package registers all rules, in the order of `voicegauge rules`.
"""

# isort: off
from voicegauge.rules import _responses, _streams, _jobs, _outcomes
from voicegauge.rules import _audio, _listening, _metamorphic, charges
from voicegauge.rules import _audio_input, webhooks, _sockets

# isort: on

__all__ = [
    "_audio",
    "_audio_input",
    "_jobs",
    "_listening",
    "_metamorphic",
    "_outcomes",
    "_responses",
    "_sockets",
    "_streams",
    "charges",
    "webhooks",
]
