"""Compares the times of turns over WebSockets, as three clients measure them, with a server that knows its delays."""
