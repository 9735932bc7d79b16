"""voicegauge and Schemathesis against the same faulty providers: faults found and requests needed."""
