"""Answering requests with recorded responses: in process, over a socket, or through respx."""
