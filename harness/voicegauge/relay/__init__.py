"""Judges and records the traffic between a client and a service."""
