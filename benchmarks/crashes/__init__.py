"""Kills of a live benchmark at random moments: nothing is bought twice, and no budget is exceeded."""
