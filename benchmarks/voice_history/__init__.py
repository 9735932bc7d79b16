"""Voices over the nights: how soon another voice or pace is found, and how often nothing has changed."""
