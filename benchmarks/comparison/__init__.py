"""voicegauge and Schemathesis on the same faulty providers: what each finds, and what its calls cost."""
