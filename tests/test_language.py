"""The site in Japanese: the catalogs, the choice of a language, and that no English is left on a Japanese page."""
# ruff: noqa: RUF001

import gettext
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone, translation
from django.utils.translation import get_language
from playwright.sync_api import expect

from questions.models import Attempt, Guide, Question, User
from questions.models.people import time_zones
from questions.templatetags.exam import duration, letters
from tests.factories import NOW, UserFactory, finish, mail_is_sent, make_attempt, make_bank, make_instructor
from tests.test_accounts import ELSEWHERE
from tests.test_journey import axe_finds_nothing, press

ROOT = Path(__file__).resolve().parent.parent
CATALOGS = ROOT / "questions" / "locale" / "ja" / "LC_MESSAGES"
JAPANESE = {"Accept-Language": "ja"}

pytestmark = pytest.mark.time_machine(NOW, tick=False)


# --- The catalogs -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """An entry of a .po file; `texts` are the translations, one for each form of the plural."""

    context: str
    text: str
    plural: str
    texts: tuple[str, ...]
    flags: str


def messages_of(path: Path) -> list[Message]:
    """All entries but the head, in the order of the file."""
    found = []
    for block in path.read_text("utf-8").split("\n\n"):
        flags = " ".join(re.findall(r"^#,(.*)$", block, re.M))
        parts = {}
        for name, quoted in re.findall(r'^(msg\w+(?:\[\d\])?) ((?:".*"\n?)+)', block, re.M):
            text = "".join(re.findall(r'^"(.*)"$', quoted, re.M))
            parts[name] = re.sub(r"\\(.)", lambda escaped: {"n": "\n"}.get(escaped[1], escaped[1]), text)
        texts = tuple(text for name, text in parts.items() if name.startswith("msgstr"))
        found.append(Message(parts.get("msgctxt", ""), parts["msgid"], parts.get("msgid_plural", ""), texts, flags))
    return found[1:]


def of_both() -> Iterator[Message]:
    for domain in ("django", "djangojs"):
        yield from messages_of(CATALOGS / f"{domain}.po")


def test_every_text_has_one_finished_japanese_text():
    messages = list(of_both())

    assert len(messages) > 400
    assert [each for each in messages if len(each.texts) != 1 or not each.texts[0] or "fuzzy" in each.flags] == []


def test_every_japanese_text_has_the_values_and_the_tags_of_the_english_one():
    def inside(text: str) -> tuple[set[str], list[str]]:
        return set(re.findall(r"%\(\w+\)s|%%", text)), sorted(re.findall(r"</?[a-z][^>]*>", text))

    assert [each for each in of_both() if inside(each.texts[0]) not in (inside(each.text), inside(each.plural))] == []


def test_every_japanese_text_is_japanese():
    kana_or_kanji = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")

    same = [each.text for each in of_both() if not kana_or_kanji.search(each.texts[0])]

    assert same == ["H:i e", "H:i T"]  # how a time looks


@pytest.mark.parametrize("domain", ["django", "djangojs"])
def test_what_the_site_reads_is_what_was_written(domain):
    data = (CATALOGS / f"{domain}.mo").read_bytes()
    with (CATALOGS / f"{domain}.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    written = messages_of(CATALOGS / f"{domain}.po")

    read = [
        compiled.npgettext(each.context, each.text, each.plural, 5)
        if each.plural and each.context
        else compiled.ngettext(each.text, each.plural, 5)
        if each.plural
        else compiled.pgettext(each.context, each.text)
        if each.context
        else compiled.gettext(each.text)
        for each in written
    ]

    assert read == [each.texts[0] for each in written]
    assert struct.unpack("<I", data[8:12])[0] == len(written) + 1  # with the head


@pytest.mark.skipif(not shutil.which("xgettext"), reason="reading texts out of the sources needs GNU gettext")
def test_every_text_of_the_sources_is_in_the_catalogs(tmp_path):
    """By the commands that CONTRIBUTING names."""
    for name in ("examsim", "questions", "templates", "static"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("bank", "__pycache__"))
    commands = re.findall(r"python3 manage\.py (makemessages .+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "examsim.settings", "EXAMSIM_DATA": str(tmp_path / "var")}

    for command in commands:
        run = [sys.executable, "-m", "django", *shlex.split(command)]
        subprocess.run(run, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120)

    found = tmp_path / CATALOGS.relative_to(ROOT)
    assert len(commands) == 2
    for domain in ("django", "djangojs"):
        assert set(messages_of(found / f"{domain}.po")) == set(messages_of(CATALOGS / f"{domain}.po"))


def test_every_sentence_of_the_scripts_is_looked_up_in_the_catalog():
    said = set()
    for script in (ROOT / "static").glob("*.js"):
        code = re.sub(r"^\s*//.*$| // .*$", "", script.read_text("utf-8"), flags=re.M)
        said |= set(re.findall(r'(?<!gettext\()"([A-Z][a-z]+ [^"]+|[A-Z][a-z]+[.…])"', code))

    assert said == set()


# --- The choice ---------------------------------------------------------------------------------


def language_of(response) -> tuple[str, str]:
    """What the page and what its header says."""
    return re.search(r'<html lang="(\w+)">', response.text)[1], response.headers["Content-Language"]


def test_who_never_chose_reads_what_the_browser_prefers(client, bank):
    def language(accept: str) -> tuple[str, str]:
        return language_of(client.get("/about/", headers={"Accept-Language": accept} if accept else {}))

    assert {accept: language(accept) for accept in ("", "ja", "ja-JP,en;q=0.8", "fr, ja;q=0.5", "en-US,ja;q=0.5")} == {
        "": ("en", "en"),
        "ja": ("ja", "ja"),
        "ja-JP,en;q=0.8": ("ja", "ja"),
        "fr, ja;q=0.5": ("ja", "ja"),
        "en-US,ja;q=0.5": ("en", "en"),
    }
    assert {language(accept) for accept in ("de", "*", "ja;q=x", "j" * 10_000, "ja\x7f", ", ".join(["x-y"] * 500))} == {
        ("en", "en")
    }


def test_a_choice_is_kept_and_leads_back_to_the_page(client, bank):
    response = client.post("/language/", {"language": "ja", "next": "/about/?a=b"}, headers={"Accept-Language": "en"})

    assert (response.status_code, response.url) == (302, "/about/?a=b")
    assert language_of(client.get("/about/", headers={"Accept-Language": "en"})) == ("ja", "ja")
    cookie = response.cookies["language"]
    assert {name: value for name, value in cookie.items() if value and name != "expires"} == {
        "httponly": True,
        "max-age": 31_536_000,
        "path": "/",
        "samesite": "Lax",
    }


def test_the_foot_of_a_page_offers_both_languages_and_names_the_page_to_come_back_to(client, bank):
    page = client.get("/sign-in/?next=/progress/", headers=JAPANESE).text

    assert 'name="next" value="/sign-in/?next=/progress/"' in page
    assert re.findall(r'name="language" value="(\w+)" lang="(\w+)"( aria-current="true")?>(.*?)<', page) == [
        ("en", "en", "", "English"),
        ("ja", "ja", ' aria-current="true"', "日本語"),
    ]


def test_a_page_that_only_a_form_opens_is_not_come_back_to(client, bank):
    page = client.post("/password/reset/", {"email": "nobody"}).text

    assert 'name="next" value="/"' in page


@pytest.mark.parametrize("code", ["de", "xx", "", "JA", "ja-JP", "../ja", "ja; Domain=evil.example"])
def test_a_language_that_the_site_does_not_speak_is_refused(client, bank, code):
    response = client.post("/language/", {"language": code})

    assert (response.status_code, dict(response.cookies)) == (400, {})
    assert language_of(client.get("/")) == ("en", "en")


@pytest.mark.parametrize("value", ["de", "x" * 10_000, "ja-JP", "%00", "../ja"])
def test_a_cookie_of_somebody_elses_making_is_no_error(client, bank, value):
    client.cookies["language"] = value

    response = client.get("/", headers=JAPANESE)

    assert (response.status_code, language_of(response)) == (200, ("ja", "ja"))


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_a_choice_never_leads_off_the_site(client, bank, elsewhere):
    # reliability case 37
    response = client.post("/language/", {"language": "ja", "next": elsewhere})

    assert response.headers.get("Location", "/") == "/"
    assert response.status_code in (302, 400)


def test_caches_keep_the_languages_apart(client, bank):
    varies = {name.strip() for name in client.get("/about/").headers["Vary"].split(",")}

    assert varies >= {"Accept-Language", "Cookie"}


def test_the_language_of_one_visitor_is_not_that_of_the_next_on_the_same_thread(client, bank):
    client.get("/", headers=JAPANESE)

    assert get_language() == "en"


def test_the_mail_for_a_new_password_is_in_the_language_of_who_asked(client, db, mailoutbox):
    UserFactory(email="ada@example.org")

    for headers in (JAPANESE, {}):
        client.post("/password/reset/", {"email": "ada@example.org"}, headers=headers)

    mail_is_sent()
    assert [mail.subject for mail in mailoutbox] == [
        "localhost:80 のパスワードリセット",
        "Password reset on localhost:80",
    ]


def test_instructors_write_english_questions_in_an_english_admin(as_instructor, bank):
    for path in ("/admin/", "/admin/questions/question/", "/admin/questions/question/add/"):
        response = as_instructor.get(path, headers=JAPANESE)

        assert response.headers["Content-Language"] == "en"
        assert re.search(r'<html lang="en"', response.text)
        assert [text for text in own_texts(response.text) if re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text)] == []


# --- How things look ----------------------------------------------------------------------------


def test_lengths_of_time_and_letters_are_told_in_japanese():
    with translation.override("ja"):
        told = [duration(timedelta(hours=1, minutes=52)), duration(185), duration(40), letters("AD"), letters("C")]

    assert told == ["1時間52分", "3分5秒", "40秒", "AとD", "C"]


def test_dates_are_told_in_japanese(as_taker, taker, bank):
    attempt = finish(make_attempt(taker), right=3)

    report = as_taker.get(f"/exams/{attempt.pk}/report/", headers=JAPANESE).text
    home = as_taker.get("/", headers=JAPANESE).text

    assert "2026年11月21日 12:00（UTC）の試験" in report
    assert "2026年11月21日 12:00" in home
    assert "6問中3問正解（50%）" in home


def test_the_scripts_find_their_texts_on_the_page_and_english_pages_bring_none(as_taker, exam):
    japanese, english = (as_taker.get(f"/exams/{exam.pk}/1/", headers=headers).text for headers in (JAPANESE, {}))

    found = json.loads(re.search(r'<script id="texts" type="application/json">(.*?)</script>', japanese)[1])
    assert found == {each.text: each.texts[0] for each in messages_of(CATALOGS / "djangojs.po")}
    assert 'id="texts"' not in english


def test_visitors_without_a_script_get_no_texts_for_it(client, bank):
    assert 'id="texts"' not in client.get("/", headers=JAPANESE).text


# --- No English on Japanese pages ---------------------------------------------------------------

# What is called so in Japanese, too: products, a licence, a command, a time zone, words for a password, names of tests.
NAMES = re.compile(
    r"ExamSim|Google( Cloud)?|Professional Machine Learning Engineer|CC BY 4\.0|UTC|examやcloud"
    r"|taker\d+|tiny-[\d.]+-\d+"
)
ENGLISH = re.compile(r"[A-Za-z]{2,}(?:[^A-Za-z\u3000-\uffef]+[A-Za-z]{2,})*")
TOLD = {"aria-label", "title", "placeholder", "alt", "content", "data-title"}  # attributes that people are told
VOID = {"meta", "link", "input", "br", "hr", "img", "line", "rect", "circle"}


class Texts(HTMLParser):
    """What a page says in its own language: all but what names another one, code and what only machines read."""

    def __init__(self) -> None:
        super().__init__()
        self.own: list[str] = []
        self.open: list[tuple[str, bool]] = []

    @property
    def foreign(self) -> bool:
        return any(foreign for _, foreign in self.open)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        zone = tag == "option" and values.get("value") in time_zones()
        foreign = values.get("lang", "ja") != "ja" or tag in ("script", "code", "kbd") or zone
        settles = tag == "meta" and not re.search(
            r"description|title|alt", values.get("name", values.get("property", ""))
        )
        if not (self.foreign or foreign or settles):
            self.own += [value for name, value in values.items() if name in TOLD]
        if tag not in VOID:
            self.open.append((tag, foreign))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self.foreign:
            self.own.append(data)


def own_texts(page: str) -> list[str]:
    parser = Texts()
    parser.feed(page)
    return [text for text in parser.own if text.strip()]


def english_in(page: str) -> list[str]:
    return [found for text in own_texts(page) for found in ENGLISH.findall(NAMES.sub("", text))]


def crawl(client: Client, *starts: str) -> dict[str, str]:
    """Every page that GET leads to, by its address, in Japanese; the admin is English."""
    pages: dict[str, str] = {}
    waiting = list(starts)
    while waiting:
        address = waiting.pop(0)
        if address in pages:
            continue
        response = client.get(address, headers=JAPANESE)
        if response.status_code == 302:
            waiting.append(response.url)
        if "html" not in response.headers["Content-Type"] or response.status_code == 302:
            continue
        pages[address] = response.text
        assert re.search(r'<html lang="ja">', response.text), address
        links = [urljoin(address, unescape(link)) for link in re.findall(r'(?:href|hx-get)="([^"#]*)', response.text)]
        waiting += [link for link in links if re.match(r"/(?!static/|admin/|/)", link)]
    return pages


def left_in_english(pages: dict[str, str]) -> dict[str, list[str]]:
    return {address: found for address, page in pages.items() if (found := english_in(page))}


def test_the_crawl_would_see_english():
    page = '<p>ここは<b lang="en">not this</b> but this, too <code>nor this</code><i title="Title">A、B</i><br>UTC</p>'

    assert english_in(page) == ["but this, too", "Title"]


def test_visitors_find_no_english(client, bank):
    pages = crawl(
        client, "/", "/no/such/page/", "/password/reset/sent/", "/password/reset/done/", "/password/reset/MQ/x-y/"
    )

    assert len(pages) >= 9
    assert left_in_english(pages) == {}


@pytest.mark.parametrize("who", ["taker", "guest", "instructor"])
def test_takers_find_no_english_before_during_and_after_an_exam(client, bank, who):
    user = {"taker": UserFactory, "guest": User.objects.create_guest, "instructor": make_instructor}[who]()
    client.force_login(user)
    fresh = crawl(client, "/", "/exams/start/")
    client.post("/exams/warm-up/")
    warming = crawl(client, "/exams/warm-up/1/", "/exams/warm-up/2/", "/exams/warm-up/3/", "/exams/warm-up/finish/")
    finished = finish(make_attempt(user, NOW - timedelta(hours=3)), right=3)
    running = make_attempt(user, NOW - timedelta(minutes=5))
    running.slots.filter(position=1).update(letters="A", flagged=True, confidence=1, seconds=70, note="x", version=1)
    running.slots.filter(position=2).update(seconds=7000)
    exam = f"/exams/{running.pk}/"
    later = crawl(
        client, "/", f"{exam}1/", f"{exam}finish/", f"{exam}submit/", f"{exam}report/", f"/exams/{finished.pk}/report/"
    )

    pages = {**fresh, **warming, **later}
    assert left_in_english(fresh) == left_in_english(warming) == left_in_english(later) == {}
    assert len(pages) >= 40


def test_what_forms_and_refusals_say_is_japanese(client, bank, taker):
    def sent(path: str, **data: str) -> str:
        return client.post(path, data, headers=JAPANESE, follow=True).text

    visitor = [
        sent("/sign-in/", username="ada", password="x"),
        sent("/sign-in/"),
        sent("/sign-up/", username="a b", email="x", password1="123", password2="124"),
        sent("/sign-up/", username="ada", password1="examcloud", password2="examcloud"),
        sent("/password/reset/", email="x"),
        sent("/language/", language="de"),
        *[sent("/sign-in/", username="ada", password="x") for _ in range(6)],
    ]
    client.force_login(taker)
    exam = make_attempt(taker)
    first = f"/exams/{exam.pk}/1/answer/"
    signed_in = [
        sent(first, version="0", letters="Z"),
        sent(first, version="0", letters=["A", "B"]),
        sent(first, version="7", letters="A"),
        sent(first, version="0", strike="Z"),
        sent(first, version="0", note="あ" * 2001),
        sent(first, version="0", go="there"),
        sent(first, letters="A"),
        sent("/settings/", target="101", exam_date="x", time_zone="x"),
        sent("/settings/", email="new@example.org"),
        sent("/settings/", target="80", password=""),
        sent("/settings/sign-out-everywhere/"),
        sent("/settings/second-factor/", code="1", password="x"),
        sent("/settings/delete/", password="x"),
        sent("/password/", old_password="x", new_password1="1", new_password2="2"),
        sent("/exams/start/", edition="none"),
        client.get("/settings/second-factor/", headers=JAPANESE).text,
    ]
    Attempt.objects.update(started_at=NOW - timedelta(hours=2), deadline=NOW - timedelta(hours=1))
    signed_in += [sent(first, version="0", letters="A"), client.get("/", headers=JAPANESE).text]

    assert [english_in(page) for page in visitor] == [[]] * len(visitor)
    assert [english_in(page) for page in signed_in] == [[]] * len(signed_in)
    assert [re.search(r'<html lang="(\w+)">', page)[1] for page in visitor + signed_in] == ["ja"] * len(
        visitor + signed_in
    )


def test_what_a_script_is_told_is_japanese(as_taker, exam):
    reply = as_taker.post(
        f"/exams/{exam.pk}/1/answer/",
        {"version": "0", "letters": "Z"},
        headers=JAPANESE | {"Accept": "application/json"},
    )

    assert reply.json() == {"problems": ["この問題に選択肢Zはありません。表示されている選択肢から選んでください。"]}


def test_a_bank_that_is_too_small_says_so_in_japanese(as_taker, bank):
    Question.objects.filter(objective="2.1").update(status="draft")
    Guide.objects.update(bank_version=9)

    response = as_taker.post("/exams/start/", headers=JAPANESE, follow=True)

    assert (
        "問題バンクの問題が足りず、この試験を作成できません（セクション2、出題項目2.1：2問不足）。講師が問題を追加する必要があります。"
        in response.text
    )


@pytest.mark.parametrize("name", ["400.html", "500.html", "503.html"])
def test_pages_of_a_broken_site_are_japanese_too(name, rf):
    with translation.override("ja"):
        page = render_to_string(name, {"request_id": "0" * 16})

    assert '<html lang="ja">' in page
    assert english_in(page) == []


def test_what_belongs_to_the_bank_is_marked_as_english_on_japanese_pages_alone(as_taker, taker, bank):
    attempt = finish(make_attempt(taker), right=3)
    japanese, english = (
        as_taker.get(f"/exams/{attempt.pk}/review/1/", headers=headers).text for headers in (JAPANESE, {})
    )

    assert (
        len(re.findall(r'<\w+(?: class="\w+")?(?: dir="auto")? lang="en">', japanese)) == 12
    )  # 4 options, their reasons, 4 more
    assert 'lang="en"' not in english.replace('<html lang="en">', "").replace('value="en" lang="en"', "")


# --- In a browser -------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.time_machine(None)
@pytest.mark.django_db(transaction=True)
def test_an_exam_is_sat_in_japanese(browser, live_server):
    make_bank()
    context = browser.new_context(locale="ja-JP")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)

    page.goto(live_server.url)
    axe_finds_nothing(page)
    press(page, "アカウントなしで試す")
    expect(page.get_by_role("heading", level=1)).to_have_text("試験を始める前に")
    axe_finds_nothing(page)
    press(page, "試験を開始")
    expect(page.get_by_role("heading", level=1)).to_have_text("問題1/6")
    axe_finds_nothing(page)
    page.locator("label:has(input[value=B])").click()
    expect(page.locator("#save-state")).to_have_text("保存しました")
    press(page, "見直しフラグ")
    expect(page.locator(".palette button").first).to_have_attribute("aria-label", "1、解答済み、フラグあり")
    Attempt.objects.update(deadline=timezone.now() + timedelta(minutes=10, seconds=6))
    page.reload()
    expect(page.locator("#notice")).to_have_text("残り10分です。", timeout=20_000)
    press(page, "次へ")
    expect(page.get_by_role("heading", level=1)).to_have_text("問題2/6")
    press(page, "試験を終了")
    expect(page.get_by_role("heading", level=1)).to_have_text("提出前の確認")
    axe_finds_nothing(page)
    page.get_by_role("link", name="試験を提出", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("試験を提出しますか？")
    axe_finds_nothing(page)
    press(page, "試験を提出する")

    expect(page.get_by_role("heading", level=1)).to_have_text("レポート")
    axe_finds_nothing(page)
    assert Attempt.objects.get().slots.get(position=1).letters == "B"
    assert errors == []
    context.close()


@pytest.mark.browser
@pytest.mark.time_machine(None)
@pytest.mark.django_db(transaction=True)
def test_a_language_is_chosen_at_the_foot_without_a_script_and_stays(browser, live_server):
    make_bank()
    context = browser.new_context(locale="en-US", java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{live_server.url}/about/")

    press(page, "日本語")

    expect(page.get_by_role("heading", level=1)).to_have_text("問題バンクについて")
    assert page.url == f"{live_server.url}/about/"
    page.goto(f"{live_server.url}/sign-in/")
    expect(page.get_by_role("heading", level=1)).to_have_text("ログイン")
    press(page, "English")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    context.close()
