from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from questions.models import User


class TakerRequest(HttpRequest):
    """A request as the signed-in views get it: SignInRequired has seen to the user, django-htmx to the details."""

    user: User
    htmx: HtmxDetails
