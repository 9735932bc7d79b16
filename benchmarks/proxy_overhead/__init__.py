"""Time that a proxy adds to requests, compared with mitmproxy."""
