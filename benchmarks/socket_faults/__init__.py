"""Plants faults of WebSockets over 20 interruptions, and checks correct services with other seeds and paces."""
