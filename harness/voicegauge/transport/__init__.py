"""Sends HTTP requests with measured timings and limits, encodes and decodes bodies, and provides clocks."""

from voicegauge.transport.aws_signing import sign_for_aws
from voicegauge.transport.blocking_calls import run_in_thread
from voicegauge.transport.clock import Clock, RealClock, VirtualClock
from voicegauge.transport.connection_pools import require_http2
from voicegauge.transport.decoding import ADDITIONAL_CODINGS, decode_body
from voicegauge.transport.download import download
from voicegauge.transport.encoding import encode_body, find_file_padding
from voicegauge.transport.http import Timeouts, Transport, create_default_timeouts, find_proxy
from voicegauge.transport.raw_response import RawHeaders
from voicegauge.transport.streaming import StreamedRequest, StreamedResponse, StreamingTransport

__all__ = [
    "ADDITIONAL_CODINGS",
    "Clock",
    "RawHeaders",
    "RealClock",
    "StreamedRequest",
    "StreamedResponse",
    "StreamingTransport",
    "Timeouts",
    "Transport",
    "VirtualClock",
    "create_default_timeouts",
    "decode_body",
    "download",
    "encode_body",
    "find_file_padding",
    "find_proxy",
    "require_http2",
    "run_in_thread",
    "sign_for_aws",
]
