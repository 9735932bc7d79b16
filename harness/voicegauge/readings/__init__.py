"""Accepted readings of written text: what a voice may say for "10:00 AM", and which texts say the same."""
