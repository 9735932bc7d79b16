"""Plans, runs and scores benchmarks, and computes the statistics of saved runs.

The defaults and limits here are needed by the help of commands, which must be fast: nothing is imported.
"""

DEFAULT_TEXT_LENGTH = 500
"""Default text length, in characters, at which the price per million characters is stated.

It is the length of a paragraph, and the lowest text limit that the bundled contracts document. The
length matters because a price per request becomes cheaper per character the longer the text is.
"""
DEFAULT_CHARACTERS_PER_MONTH = 10_000_000
"""Default number of characters spoken in a month, at which the monthly price is stated."""
MAX_CHARACTERS_PER_MONTH = 10**12
"""Highest number of characters of a month for which a price is computed."""
DEFAULT_GOAL = "success>=0.99"
"""Goal of a ramp unless the user sets one; see `voicegauge.bench.ramp.parse_goal`."""
DEFAULT_EQUIVALENCE_MARGIN = 0.10
"""Default relative difference of total latency that does not matter; 0.1 is 10%."""
MAX_LAG_OF_UNDISTURBED_SAMPLE_MS = 10.0
"""Lag of the event loop, in milliseconds, up to which a sample is never marked as disturbed."""
MAX_LAG_SHARE_OF_LATENCY = 0.01
"""A lag above `MAX_LAG_OF_UNDISTURBED_SAMPLE_MS` marks a sample as disturbed only if it also exceeds this share of the
sample's latency: during a job of an hour, some lag has no consequences."""
