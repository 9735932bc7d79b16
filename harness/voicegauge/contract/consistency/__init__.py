"""Consistency checks of a contract document: references, sources, resources, streams."""
