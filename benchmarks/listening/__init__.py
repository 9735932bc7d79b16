"""Measures which defects of audio the listening rules find, and which clean clips they accuse."""
