"""Time and memory of voicegauge with many samples, whole providers and many requests in flight."""
