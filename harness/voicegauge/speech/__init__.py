"""Decodes and encodes audio, recognizes and synthesizes speech, and counts errors in transcripts."""
