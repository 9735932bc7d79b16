"""Compares what voicegauge measures of streamed transcription with a server that follows a script."""
