"""HTTP server that behaves as contracts document, over a real socket and with synthesized speech."""
