from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from questions.models import User


class TakerRequest(HttpRequest):
    """A request as the signed-in views get it: SignInRequired has seen to the user, django-htmx to the details."""

    user: User
    htmx: HtmxDetails


def network_of(request: HttpRequest) -> str:
    """Where a request comes from: an IPv4 address, or the /64 of an IPv6 address, which one person has to themselves.

    Behind a proxy that speaks TLS for us, the last entry of X-Forwarded-For is the one that the proxy wrote.
    """
    found = request.META.get("REMOTE_ADDR", "")
    if settings.HTTPS:
        found = request.headers.get("X-Forwarded-For", found).rpartition(",")[2].strip() or found
    if found.startswith("[") or found.count(":") == 1:  # some proxies write the port, too
        found = found.rpartition(":")[0].strip("[]")
    try:
        address = ip_address(found)
    except ValueError:  # a socket file, or nonsense: all such are one place
        return "nowhere"
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False))
