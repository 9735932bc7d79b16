"""A small Whisper for emulated speech: how it is made and measured; `make whisper` does it all."""
