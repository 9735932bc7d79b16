"""Audio the emulator makes: synthesis, conversion, transcription."""
