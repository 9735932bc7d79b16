"""One request for speech, from submit to downloaded audio."""
