"""voicegauge: conformance and benchmarks for hosted text-to-speech and voice-cloning APIs."""

__version__ = "0.1.0"
