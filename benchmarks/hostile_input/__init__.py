"""Memory and time that hostile responses cost voicegauge."""
