"""Randomized testing: random requests, stateful job sequences, shrinking and reproduction."""
