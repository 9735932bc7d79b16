"""Planning conformance cases: which requests a contract leads to, and what each should be answered with."""
