"""Compares the completion times of polled jobs, as a benchmark states them, with those of a server that knows them."""
