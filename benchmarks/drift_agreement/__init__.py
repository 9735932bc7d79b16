"""How far `voicegauge drift` agrees with oasdiff: one pair of documents for each of oasdiff's rules."""
