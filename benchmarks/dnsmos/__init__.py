"""Predicted quality: agreement of our own features with the reference implementation, and ratings of noisy speech."""
