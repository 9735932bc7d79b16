"""Voices of voice samples: how many swapped voices are found, and how many right ones are accused."""
