"""Checks and measures a published WebSocket server of speech, whose socket layer is untouched."""
