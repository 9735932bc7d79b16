"""How many cases a core gets through, with Schemathesis beside it."""
