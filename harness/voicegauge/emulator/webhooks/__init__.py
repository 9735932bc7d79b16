"""Webhooks the emulator sends."""
