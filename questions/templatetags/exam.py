"""How texts, durations, numbers and addresses look, in which language they are, and what static files hold. Loaded in every template."""

import base64
import hashlib
import os
from datetime import timedelta
from functools import cache, lru_cache
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nh3
from django import template
from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import HashedFilesMixin, staticfiles_storage
from django.template import Context
from django.utils.html import json_script
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext
from django.utils.translation.trans_real import DjangoTranslation
from django.views.i18n import JavaScriptCatalog
from markdown_it import MarkdownIt
from pygments.lexers import TextLexer, get_lexer_by_name
from pygments.token import Comment, Keyword, Number, Operator, String
from pygments.util import ClassNotFound

register = template.Library()

MARKDOWN_CHARACTERS = 20_000


# Four colours are enough to read by, and keep the page small.
_CLASSES = {Keyword: "k", Operator.Word: "k", String: "s", Comment: "c", Number: "m"}


def _class_of(token: Any) -> str:
    return next((name for kind, name in _CLASSES.items() if token in kind), "")


def _highlight(code: str, language: str, attributes: str) -> str:
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = TextLexer()
    inner = ""
    for kind, tokens in groupby(lexer.get_tokens(code), key=lambda token: _class_of(token[0])):
        text = escape("".join(value for _, value in tokens))
        inner += f'<span class="{kind}">{text}</span>' if kind and not text.isspace() else text
    # A scrolling block must be reachable by keyboard.
    return f'<pre class="code" tabindex="0"><code>{inner}</code></pre>'


_markdown = MarkdownIt("commonmark", {"html": False, "highlight": _highlight}).enable("table")
_TAGS = nh3.ALLOWED_TAGS - {"img", "a"}
_ATTRIBUTES = {"span": {"class"}, "pre": {"class", "tabindex"}, "code": {"class"}, "th": {"align"}, "td": {"align"}}


@lru_cache(maxsize=4096)
def _rendered(text: str) -> SafeString:
    # Limits first: sanitising deep nesting is what costs.
    html = _markdown.render(text[:MARKDOWN_CHARACTERS])
    html = html.replace("<th></th>", "<td></td>")  # the empty corner of a table heads nothing
    clean = nh3.clean(html, tags=_TAGS, attributes=_ATTRIBUTES, link_rel=None)
    # A wide table scrolls by itself, so it must be reachable by keyboard.
    clean = clean.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace("</table>", "</table></div>")
    return mark_safe(clean)  # noqa: S308


@lru_cache(maxsize=4096)
def _rendered_inline(text: str) -> SafeString:
    html = _markdown.renderInline(text[:MARKDOWN_CHARACTERS])
    return mark_safe(nh3.clean(html, tags=_TAGS, attributes=_ATTRIBUTES, link_rel=None))  # noqa: S308


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown with highlighted code, without raw HTML, links or images."""
    return _rendered(text)


@register.filter
def markdown_inline(text: str) -> SafeString:
    """Markdown within one paragraph: code, emphasis."""
    return _rendered_inline(text)


@register.filter
def clock(left: timedelta) -> str:
    """Hours, minutes and seconds as a clock shows them: 1:59:07, or 59:07 under an hour."""
    seconds = max(int(left.total_seconds()), 0)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


@register.filter
def duration(length: timedelta | int) -> str:
    """A length of time in words: 1 h 52 min, 3 min 5 s, 40 s."""
    seconds = int(length.total_seconds()) if isinstance(length, timedelta) else int(length)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours:
        return gettext("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes}
    if minutes:
        return gettext("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": seconds % 60}
    return gettext("%(seconds)s s") % {"seconds": seconds % 60}


@register.filter
def percent(share: float) -> str:
    """A share of 1 in whole per cent: 0.684 -> 68%."""
    return f"{round(100 * share)}%"


@register.filter
def letters(chosen: str) -> str:
    """Letters in words: AD -> A and D."""
    return gettext(" and ").join(chosen)


@register.simple_tag
def in_english() -> SafeString:
    """For elements that hold something of the bank: their language, where it is not the page's."""
    return mark_safe("" if get_language() == "en" else ' lang="en"')  # noqa: S308


@register.simple_tag
def script_texts() -> SafeString:
    """What the scripts say, for their `gettext`; nothing on an English page, whose texts they hold themselves."""
    texts = _script_texts(get_language())
    return json_script(texts, "texts") if texts else SafeString()


@lru_cache
def _script_texts(language: str) -> dict[str, Any]:
    catalog = JavaScriptCatalog()
    catalog.translation = DjangoTranslation(language, "djangojs", [str(path) for path in settings.LOCALE_PATHS])
    return catalog.get_catalog()


@register.simple_tag
def integrity(name: str) -> str:
    """What the integrity attribute says of the bytes that `{% static name %}` leads to. Nothing where there are none."""
    if isinstance(staticfiles_storage, HashedFilesMixin):
        path = staticfiles_storage.path(staticfiles_storage.stored_name(name))
    else:  # nothing is collected, so it is served from where it stands
        path = finders.find(name) or ""
    try:
        return _sha384(path, os.stat(path).st_mtime_ns)
    except OSError:
        return ""


@register.simple_tag
@cache
def icon() -> str:
    """The site's icon within the page, so that it takes no request of its own."""
    svg = (settings.BASE_DIR / "static" / "favicon.svg").read_text("utf-8").strip()
    return "data:image/svg+xml," + quote(svg)


@lru_cache(maxsize=64)
def _sha384(path: str, changed_at: int) -> str:
    return "sha384-" + base64.b64encode(hashlib.sha384(Path(path).read_bytes()).digest()).decode()


@register.simple_tag(takes_context=True)
def absolute(context: Context, path: str) -> str:
    """The whole address of a page or file of this site, as the settings have it, or as it was asked for."""
    return f"{settings.ADDRESS}{path}" if settings.ADDRESS else context["request"].build_absolute_uri(path)
