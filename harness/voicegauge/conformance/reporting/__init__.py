"""The report of a check, its baseline, and its conversion for output formats."""
