"""Lists headers that do not belong to the API itself, but to HTTP, or to a proxy or CDN in front of the service."""

from __future__ import annotations

import re

STANDARD_HEADERS = frozenset(
    (
        *("accept-ranges", "access-control-allow-origin", "age", "allow", "alt-svc", "cache-control", "connection"),
        *("content-disposition", "content-encoding", "content-language", "content-length", "content-type", "date"),
        *("content-location", "content-range", "etag", "expires", "keep-alive", "last-modified", "link", "location"),
        *("pragma", "preference-applied", "retry-after", "server", "trailer", "upgrade"),
        *("strict-transport-security", "transfer-encoding", "vary", "via", "www-authenticate"),
    )
)
"""Names of general HTTP headers (such as those of RFC 9110, 9111 and 6797), which API documents need not list."""
_INFRASTRUCTURE_HEADER_PATTERN = re.compile(
    # CDNs and hosting: Cloudflare, Akamai, Fastly, Amazon, Google, Azure, Vercel, Fly.io, Railway, Render, Netlify
    r"cf-.*|akamai-.*|x-akamai-.*|x-served-by|x-timer|x-cache.*|cdn-.*|x-cdn.*|x-fastly-.*|fastly-.*|x-amz-.*|x-amzn-.*"
    r"|apigw-requestid|x-cloud-trace-context|x-goog-.*|x-guploader-.*|x-azure-ref|x-ms-.*|x-vercel-.*|fly-.*|x-railway-.*"
    r"|x-render-.*|rndr-id|x-nf-.*|x-hw|x-edge-.*"
    # proxies and servers
    r"|x-envoy-.*|x-kong-.*|x-powered-by|x-runtime|x-varnish|x-nginx-.*|x-proxy-.*|x-forwarded-.*|x-real-ip|forwarded"
    r"|x-b3-.*|traceparent|tracestate|x-backend.*|proxy-.*|x-upstream-.*|x-response-time|x-process-time"
    r"|x-openai-proxy-wasm"
    # reporting, security policies and instructions to browsers
    r"|nel|report-to|reporting-endpoints|server-timing|timing-allow-origin|expect-ct|x-content-type-options"
    r"|x-frame-options|x-xss-protection|x-download-options|x-dns-prefetch-control|x-permitted-cross-domain-policies"
    r"|x-robots-tag|x-ua-compatible|referrer-policy|permissions-policy|feature-policy|content-security-policy.*"
    r"|cross-origin-.*|origin-agent-cluster|access-control-.*|priority|accept-ch|set-cookie|p3p"
)


def is_infrastructure_header(name: str) -> bool:
    """Whether a header comes from a proxy, a CDN or a web server, or instructs browsers."""
    return _INFRASTRUCTURE_HEADER_PATTERN.fullmatch(name.lower()) is not None
