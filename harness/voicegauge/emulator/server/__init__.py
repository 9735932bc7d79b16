"""The emulator as a server: ASGI application, control routes, process and socket."""
