"""What the page may do, and of which types its files are, wherever it is served from."""

from __future__ import annotations

# The page may load and ask nothing but its own place; no inline code, no frames around it.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self' blob:; worker-src 'self' blob:; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
PAGE_HEADERS = {
    # A page itself cannot say who may frame it.
    "Content-Security-Policy": f"{PAGE_POLICY}; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
PAGE_TYPES = {  # which not every system knows
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
}
