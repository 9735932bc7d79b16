"""TLS for the emulator: a certificate for its address, and the authority that signed it.

Some client libraries accept no other URL than https or wss. They trust the emulator if they trust its authority, which
most do by the environment variable SSL_CERT_FILE.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from voicegauge.errors import MissingExtraError


class ServerIdentity(NamedTuple):
    """How a server proves who it is, and what a client needs to believe it."""

    ssl_context: ssl.SSLContext
    authority_file: Path
    """The certificate of the authority, in PEM format. It has no private key."""


def require_tls() -> None:
    """Check that certificates can be made.

    Raises:
        MissingExtraError: the extra `emulator` is not installed.
    """
    if importlib.util.find_spec("trustme") is None:
        raise MissingExtraError("trustme, which makes the certificates of the emulator,", "emulator")


@contextlib.contextmanager
def create_server_identity(host: str) -> Iterator[ServerIdentity]:
    """Create an authority and a certificate for this machine under `host`, its own name, and localhost.

    Both are new each time and never written, except for the authority's certificate, whose file is deleted at the end.

    Raises:
        MissingExtraError: the extra `emulator` is not installed.
    """
    require_tls()
    import trustme

    authority = trustme.CA(organization_name="voicegauge emulator")
    names = dict.fromkeys(("localhost", "127.0.0.1", "::1", socket.gethostname(), host))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, organization_name="voicegauge emulator").configure_cert(context)
    with tempfile.TemporaryDirectory(prefix="voicegauge-tls-") as folder:
        path = Path(folder) / "authority.pem"
        path.write_bytes(authority.cert_pem.bytes())
        yield ServerIdentity(context, path)
