"""Measures the word error rate of the engine `lexicon` on ordinary prose, beside that of the embedded Whisper."""
