"""Sends HTTP requests with measured timings and limits, encodes and decodes bodies, and provides clocks."""
