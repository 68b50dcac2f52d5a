"""The headers that protect every reply."""

from django.conf import settings
from django.utils.csp import build_policy

# Those that Django has no setting for.
HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
    # As SecurityMiddleware sets them; but it refuses a bad host without them.
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def headers_of_a_refusal() -> dict[str, str]:
    """For replies that no middleware sees. Without HSTS: who refuses to read a request knows no host."""
    return {
        **HEADERS,
        "X-Frame-Options": settings.X_FRAME_OPTIONS,
        "Content-Security-Policy": build_policy(settings.SECURE_CSP),  # type: ignore[arg-type]
        "Cache-Control": "no-store",
    }
