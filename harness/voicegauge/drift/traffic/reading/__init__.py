"""Reading recordings for comparison: values, contexts, pairing."""
