"""Speech as measured: audio in and out, transcripts, and how far they are from the text."""
