import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from questions.templatetags.exam import clock, duration, letters, markdown, markdown_inline, percent

# What Markdown and HTML are made of.
PIECES = [*"<>[]()!`|/\"'\\\0 \n", "\n\n", "    ", "> ", "- ", "```html\n", "&lt;", "&#x3c;"]
PIECES += ["script", "style", "svg", "img src=x", " onerror=", "a href=", "javascript:"]

# --- Times and numbers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0:00"),
        (0, "0:00"),
        (0.9, "0:00"),
        (9, "0:09"),
        (60, "1:00"),
        (59 * 60 + 7, "59:07"),
        (3600, "1:00:00"),
        (7200 - 53, "1:59:07"),
        (26 * 3600 + 61, "26:01:01"),
    ],
)
def test_a_clock_shows_hours_only_when_there_are_any(seconds, shown):
    assert clock(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (40, "40 s"),
        (60, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3600, "1 h 0 min"),
        (6759, "1 h 52 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_a_duration_is_told_in_its_two_greatest_units(seconds, shown):
    assert duration(timedelta(seconds=seconds)) == shown
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0%"), (0.684, "68%"), (0.0049, "0%"), (0.996, "100%"), (1, "100%"), (0.29, "29%")]
)
def test_a_share_is_shown_in_whole_per_cent(share, shown):
    assert percent(share) == shown


@pytest.mark.parametrize(("chosen", "shown"), [("", ""), ("B", "B"), ("AD", "A and D")])
def test_letters_are_joined_in_words(chosen, shown):
    assert letters(chosen) == shown


# --- Texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("render", [markdown, markdown_inline])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("<b onclick='x'>b</b>", "&lt;b onclick='x'&gt;b&lt;/b&gt;"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("<!-- note -->", "&lt;!-- note --&gt;"),
        ("&lt;script&gt;", "&lt;script&gt;"),
        ("&#60;iframe>", "&lt;iframe&gt;"),
        ("see [the page](https://example.org)", "see the page"),
        ("see [the page](https://example.org 'a title')", "see the page"),
        ("<https://example.org>", "https://example.org"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("look: ![a chart](https://example.org/a.png)", "look: "),
        ("`a < b` *and* **c**", "<code>a &lt; b</code> <em>and</em> <strong>c</strong>"),
    ],
)
def test_no_raw_html_no_link_and_no_image_passes(render, text, shown):
    wanted = shown if render is markdown_inline else f"<p>{shown}</p>\n"

    assert render(text) == wanted


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_whatever_is_written_only_harmless_tags_come_out(text):
    html = markdown(text) + markdown_inline(text)

    tags = [part.split(">")[0] for part in html.split("<")[1:]]
    harmless = {"p", "code", "em", "strong", "ul", "ol", "li", "blockquote", "br", "hr", "h1", "h2", "pre", "span"}
    harmless |= {"table", "thead", "tbody", "tr", "th", "td"}
    assert {tag.strip("/").split(" ")[0] for tag in tags} <= harmless
    assert {tag for tag in tags if " " in tag and not tag.startswith('span class="')} <= {
        'pre class="code" tabindex="0"'
    }


def test_code_is_highlighted_and_can_be_scrolled_by_keyboard():
    html = markdown("```python\nx = 1 < 2\n```")

    assert html == (
        '<pre class="code" tabindex="0"><code>x = <span class="m">1</span> &lt; <span class="m">2</span>\n</code></pre>\n'
    )


@pytest.mark.parametrize("language", ["", "no-such-language"])
def test_code_in_no_known_language_is_plain_but_can_be_scrolled_by_keyboard_too(language):
    html = markdown(f"```{language}\na <b>\n```")

    assert html == '<pre class="code" tabindex="0"><code>a &lt;b&gt;\n</code></pre>\n'


def test_the_rest_of_a_codes_first_line_is_left_out():
    assert markdown('```text onload="x"\ny\n```') == '<pre class="code" tabindex="0"><code>y\n</code></pre>\n'


def test_tables_and_lists_are_allowed():
    html = markdown("| a | b |\n| - | - |\n| 1 | `2` |\n\n- one\n- two")

    assert html.replace("\n", "") == (
        '<div class="scroll" tabindex="0"><table><thead><tr><th>a</th><th>b</th></tr></thead>'
        "<tbody><tr><td>1</td><td><code>2</code></td></tr></tbody></table></div>"
        "<ul><li>one</li><li>two</li></ul>"
    )


def test_paragraphs_are_kept_in_a_text_and_not_made_within_a_line():
    assert markdown("one\n\ntwo") == "<p>one</p>\n<p>two</p>\n"
    assert markdown_inline("# one") == "# one"


def test_only_the_first_20000_characters_are_shown():
    assert markdown("x" * 30_000) == f"<p>{'x' * 20_000}</p>\n"
    assert markdown_inline("x" * 30_000) == "x" * 20_000


@pytest.mark.parametrize(
    "text",
    [
        "> " * 10_000,
        "1. " * 6_000,
        "\n".join(f"{'  ' * level}- x" for level in range(150)),
        "[" * 20_000,
        "![[" * 6_000,
        "[a](" * 5_000,
        "*a _b " * 3_000,
        "`" * 20_000,
        "<" * 20_000,
        "```python\n" + "(" * 19_000,
        "```html\n" + "<a " * 6_000,
        "```json\n" + "[" * 19_000,
    ],
    ids=lambda text: text[:10].strip(),
)
def test_very_deep_nesting_is_quick(text):
    before = time.process_time()

    markdown(text)

    assert time.process_time() - before < 1.5
