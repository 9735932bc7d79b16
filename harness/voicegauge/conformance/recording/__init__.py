"""Recording the responses of a service as fixtures."""
