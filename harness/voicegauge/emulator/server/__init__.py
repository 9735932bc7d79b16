"""Serves the emulator: as an ASGI application with control routes, on a socket or in a subprocess."""

from voicegauge.emulator.server.app import create_app
from voicegauge.emulator.server.body_memory import BodyMemory
from voicegauge.emulator.server.client_limits import ABORT_EXTENSION_KEY, ClientLimits
from voicegauge.emulator.server.process import (
    EmulatorProcessConfig,
    EmulatorStartupMessage,
    RunningEmulator,
    running_emulator,
    starting_emulator,
)
from voicegauge.emulator.server.request_bodies import are_headers_too_large, receive_whole_body
from voicegauge.emulator.server.socket_server import bind_socket, running_app, serve, serve_app

__all__ = [
    "ABORT_EXTENSION_KEY",
    "BodyMemory",
    "ClientLimits",
    "EmulatorProcessConfig",
    "EmulatorStartupMessage",
    "RunningEmulator",
    "are_headers_too_large",
    "bind_socket",
    "create_app",
    "receive_whole_body",
    "running_app",
    "running_emulator",
    "serve",
    "serve_app",
    "starting_emulator",
]
