"""Random edits of valid contracts, each read by every command: a document works, or is rejected with its place."""
