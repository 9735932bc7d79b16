"""Compares times to first byte, as three HTTP clients measure them, with the delays of a server that knows them."""
