"""The documentation's pictures, made anew: python -m tests.screenshots [FOLDER]

The real site and bank on a database of their own, with drawn exams, answers and the server's clock fixed, so that a
picture changes only where the site, the bank or the browser's fonts did.
"""

import base64
import os
import random
import shutil
import struct
import sys
import threading
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django
import time_machine
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from playwright.sync_api import Browser, Page, sync_playwright
from waitress import create_server

from examsim.testing import find_browser, install_browser

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
FLAGS = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"]
DESKTOP, PHONE = (1280, 800), (390, 844)
DESKTOP_TALL = (1280, 1180)
# Of each picture: who looks at which address, how large the window is, in which scheme, and what is done first.
PICTURES = {
    "home": ("visitor", "/", DESKTOP, "light", None),
    "start": ("starter", "/exams/start/", DESKTOP_TALL, "light", None),
    "warm-up": ("starter", "/exams/start/", DESKTOP, "light", "warm-up"),
    "question": ("taker", "/exams/{running}/{code}/", DESKTOP, "light", "tools"),
    "question-dark": ("taker", "/exams/{running}/{code}/", DESKTOP, "dark", None),
    "question-phone": ("taker", "/exams/{running}/{short}/", PHONE, "light", None),
    "finish": ("taker", "/exams/{running}/finish/", DESKTOP, "light", None),
    "finish-phone": ("taker", "/exams/{running}/finish/", PHONE, "dark", None),
    "submit": ("taker", "/exams/{running}/submit/", (1280, 500), "light", None),
    "report": ("taker", "/exams/{done}/report/", DESKTOP_TALL, "light", None),
    "report-phone": ("taker", "/exams/{done}/report/", PHONE, "light", None),
    "review": ("taker", "/exams/{done}/review/{missed}/", DESKTOP_TALL, "light", None),
    "review-phone": ("taker", "/exams/{done}/review/{missed}/", PHONE, "dark", None),
}


def make_site() -> dict[str, str]:
    """Fill the database; returns the cookies of who looks and the numbers that addresses name."""
    from django.test import Client

    from questions.models import Attempt, Guide, User

    call_command("migrate", verbosity=0)
    call_command("load_bank", verbosity=0)
    guide = Guide.objects.offered()[0]
    chance = random.Random(1)
    taker, starter = (User.objects.create_user(name) for name in ("ada", "ben"))
    skill = {1: 0.85, 2: 0.85, 3: 0.75, 4: 0.5, 5: 0.75, 6: 0.9}
    for week in (3, 2, 1):
        done = Attempt.objects.start(taker, guide, week, NOW - timedelta(weeks=week))
        for slot in done.slots.select_related("question"):
            wrong = "".join(letter for letter in slot.shown_letters if letter not in slot.key)
            slot.letters = slot.key if chance.random() < skill[slot.question.section] else wrong[: slot.choose]
            slot.seconds = chance.randint(40, 170)
            slot.save()
        done.settle(done.started_at + timedelta(minutes=108))
    running = Attempt.objects.start(taker, guide, 7, NOW - timedelta(minutes=52, seconds=18))
    slots = list(running.slots.select_related("revision").order_by("position"))
    for slot in slots[:27]:
        slot.letters = "" if slot.position % 11 == 0 else "".join(chance.sample(slot.shown_letters, slot.choose))
        slot.flagged = slot.position % 8 == 0
        slot.confidence = chance.choice([0, 2, 3, 3])
        slot.seconds = chance.randint(40, 170)
        slot.save()
    with_code = next(slot for slot in slots if "```" in slot.revision.content["stem"])
    short = min(slots[:27], key=lambda slot: len(str(slot.revision.content["stem"])) if slot.letters else 9999)
    missed = next(slot for slot in done.slots.order_by("position") if slot.letters != slot.key)
    cookies = {}
    for user in (taker, starter):
        client = Client()
        client.force_login(user)
        cookies[user.username] = client.cookies["sessionid"].value
    return {
        "taker": cookies["ada"],
        "starter": cookies["ben"],
        "running": str(running.pk),
        "done": str(done.pk),
        "code": str(with_code.position),
        "short": str(short.position),
        "missed": str(missed.position),
    }


def serve() -> str:
    """Start the site beside; returns its address."""
    server = create_server(StaticFilesHandler(get_wsgi_application()), host="127.0.0.1", port=0)
    threading.Thread(target=server.run, daemon=True).start()
    return f"http://127.0.0.1:{server.effective_port}"


def try_warm_up(page: Page) -> None:
    page.get_by_role("button", name="Try the screen").click()
    page.get_by_role("heading", name="Question 1").wait_for()
    for key in ("b", "s", "d"):
        page.keyboard.press(key)
    page.locator("#save-state", has_text="Saved").wait_for()


def use_tools(page: Page) -> None:
    """Choose, strike out, say how sure, highlight what the question is after."""
    for key in ("b", "s", "d", "u", "u"):
        page.keyboard.press(key)
    page.locator("#sitting .stem p").last.select_text()
    page.wait_for_timeout(50)  # the selection is noticed with the next frame
    page.keyboard.press("h")
    page.locator("#save-state", has_text="Saved").wait_for()
    page.locator("#notice:empty").wait_for(state="attached")


FIRST = {"warm-up": try_warm_up, "tools": use_tools}


# The 256 colours that a picture needs most, and for each pixel the number of the nearest.
REDUCE = """async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const { width, height } = image;
    const canvas = new OffscreenCanvas(width, height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    const pixels = new Uint32Array(canvas.getImageData(0, 0, width, height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) || 0) + 1);
    const parts = (colour) => [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255];
    const apart = (one, other) => one.reduce((sum, part, n) => sum + (part - other[n]) ** 2, 0);
    const common = [...counts].sort((one, other) => other[1] - one[1]).map(([colour]) => parts(colour));
    const palette = [];
    for (const [least, most] of [[64, 160], [0, 256]]) { // first what differs clearly, then what makes shades smooth
        for (const each of common) {
            if (palette.length < most && palette.every((other) => apart(each, other) > least)) palette.push(each);
        }
    }
    const nearest = new Map();
    for (const colour of counts.keys()) {
        const distances = palette.map((each) => apart(each, parts(colour)));
        nearest.set(colour, distances.indexOf(Math.min(...distances)));
    }
    const reader = new FileReader();
    const read = new Promise((done) => { reader.onload = () => done(reader.result.split(",")[1]) });
    reader.readAsDataURL(new Blob([Uint8Array.from(pixels, (pixel) => nearest.get(pixel))]));
    return { width, height, palette: palette.flat(), numbers: await read };
}"""


def smaller(page: Page, png: bytes) -> bytes:
    """A third of the size and, with text on plain ground, the same to the eye; `page` only computes."""
    found = page.evaluate(REDUCE, base64.b64encode(png).decode())
    width, height, numbers = found["width"], found["height"], base64.b64decode(found["numbers"])
    lines = b"".join(b"\0" + numbers[line * width : (line + 1) * width] for line in range(height))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits a pixel, by palette
    chunks = [(b"IHDR", header), (b"PLTE", bytes(found["palette"])), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in chunks)


def take(browser: Browser, address: str, site: dict[str, str], name: str, folder: Path) -> None:
    who, path, (width, height), scheme, first = PICTURES[name]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if width < 500 else 1,
        reduced_motion="reduce",
    )
    if who in site:
        context.add_cookies([{"name": "sessionid", "value": site[who], "url": address}])
    page = context.new_page()
    page.clock.set_fixed_time(NOW)
    page.goto(address + path.format(**site))
    if first:
        FIRST[first](page)
    page.evaluate("document.fonts.ready")
    png = page.screenshot()
    page.goto("about:blank")  # no policy there forbids to read a picture
    (folder / f"{name}.png").write_bytes(smaller(page, png))
    context.close()


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else settings.BASE_DIR / "docs"
    folder.mkdir(parents=True, exist_ok=True)
    with time_machine.travel(NOW, tick=False), sync_playwright() as playwright:
        site = make_site()
        address = serve()
        browser = playwright.chromium.launch(
            executable_path=find_browser(os.environ, Path.home()) or install_browser(),
            args=[
                *FLAGS,
                "--disable-lcd-text",
                *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            ],
        )
        for name in PICTURES:
            take(browser, address, site, name, folder)
            print(folder / f"{name}.png", (folder / f"{name}.png").stat().st_size // 1024, "KB", flush=True)
        browser.close()
    shutil.rmtree(settings.DATA_DIR)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    main()
