"""The server's side of the proxy: uvicorn's protocol with the parser of Node.js, which keeps request targets unchanged.

It needs half of the CPU time of the protocol that the emulator uses, but has no time limits for slow clients.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from voicegauge.emulator.server import ABORT_EXTENSION_KEY


class RelayProtocol(HttpToolsProtocol):
    """One connection of a client."""

    def on_headers_complete(self) -> None:
        """Start the request, with its request target (path and query) as the client sent it."""
        target = self.url
        if not target.startswith(b"/"):  # such as that of CONNECT, which uvicorn cannot parse
            self.url = b"/"
        super().on_headers_complete()
        path, _, query = target.partition(b"?")
        self.scope["raw_path"], self.scope["query_string"] = path, query
        self.scope["extensions"] = {ABORT_EXTENSION_KEY: self.transport.close}  # type: ignore[dict-item]
