from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST
from django.views.i18n import set_language


@login_not_required
@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keep in a cookie which language a visitor reads, then back to the page that they came from."""
    if request.POST.get("language") not in dict(settings.LANGUAGES):
        raise BadRequest("There is no such language.")  # Django keeps any that it knows itself
    return set_language(request)
