"""Cases per second of CPU time, compared with Schemathesis."""
