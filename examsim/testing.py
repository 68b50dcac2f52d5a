"""`manage.py test`: finds a browser, or installs one, and becomes pytest. Standard library only, as bootstrap.py."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from examsim import bootstrap

NO_BROWSER = """The browser tests need a browser; none was found, and none could be installed. Either
    install Chromium, Chrome or Edge, or let Playwright bring its own:
        {python} -m playwright install --with-deps chromium
    or name one:          EXAMSIM_BROWSER=/path/to/chromium python3 manage.py test
    or leave them out:    python3 manage.py test -m "not browser"
"""


def browsers(environ: Mapping[str, str], home: Path) -> Iterator[str]:
    """Paths of browsers that Playwright can drive, where they usually are."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "msedge"):
        yield shutil.which(name, path=environ.get("PATH", "")) or ""
    for folder in (Path("/Applications"), home / "Applications"):
        for name in ("Chromium", "Google Chrome", "Microsoft Edge"):
            yield str(folder / f"{name}.app" / "Contents" / "MacOS" / name)
    for variable in ("ProgramFiles", "ProgramFiles(x86)", "LOCALAPPDATA"):
        for name, program in (("Chromium", "chrome"), ("Google/Chrome", "chrome"), ("Microsoft/Edge", "msedge")):
            if environ.get(variable):
                yield str(Path(environ[variable], name, "Application", f"{program}.exe"))


def browser_starts(path: str) -> bool:
    """Started to be sure: Ubuntu's chromium-browser may be a script that only says what to install."""
    if not path or not os.path.isfile(path):
        return False
    if bootstrap.WINDOWS:
        return True  # there, asking for the version opens a window
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def playwright_browser() -> str:
    """Where Playwright puts its own Chromium, whether it is there or not."""
    program = (
        "from playwright.sync_api import sync_playwright\n"
        "with sync_playwright() as playwright: print(playwright.chromium.executable_path)"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip()


def find_browser(environ: Mapping[str, str], home: Path) -> str | None:
    """Raises SetupError if EXAMSIM_BROWSER names something that does not start."""
    chosen = environ.get("EXAMSIM_BROWSER")
    if chosen:
        path = shutil.which(chosen, path=environ.get("PATH", "")) or chosen
        if not browser_starts(path):
            raise bootstrap.SetupError(f"EXAMSIM_BROWSER is {chosen}, which does not start. Correct it or unset it.")
        return path
    for path in browsers(environ, home):
        if browser_starts(path):
            return path
    path = playwright_browser()
    return path if browser_starts(path) else None


def install_browser() -> str:
    """Debian's Chromium where we may install it, else Playwright's own. Raises SetupError when neither works."""
    bootstrap.say("Installing a browser for the browser tests (once) ...")
    playwright = [[sys.executable, "-m", "playwright", "install", "--no-shell", "chromium"]]
    ways = [playwright]
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
        ways.insert(0, [["apt-get", "update", "-qq"], install])
    for way in ways:
        try:
            for command in way:
                bootstrap.run(
                    command, "So a browser could not be installed this way.", DEBIAN_FRONTEND="noninteractive"
                )
        except bootstrap.SetupError as error:
            bootstrap.say(str(error))
        browser = find_browser(os.environ, Path.home())
        if browser:
            return browser
    raise bootstrap.SetupError(NO_BROWSER.format(python=sys.executable))


def needs_browser(arguments: Sequence[str]) -> bool:
    """Whether browser tests may run with these pytest arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-m", dest="marks", default="")
    marks = parser.parse_known_args(arguments)[0].marks
    only_asks = {"--version", "-V", "--help", "-h", "--markers", "--fixtures", "--collect-only", "--co"}
    return "not browser" not in marks and not only_asks.intersection(arguments)


def run_tests(arguments: Sequence[str]) -> NoReturn:
    """Become pytest with these arguments, EXAMSIM_BROWSER naming a browser that works. Raises SetupError."""
    if importlib.util.find_spec("pytest") is None:
        raise bootstrap.SetupError(
            "This virtual environment has no pytest. Leave it (deactivate), or install requirements/dev.txt into it."
        )
    if needs_browser(arguments):
        os.environ["EXAMSIM_BROWSER"] = find_browser(os.environ, Path.home()) or install_browser()
    os.chdir(bootstrap.ROOT)
    bootstrap.hand_over([sys.executable, "-m", "pytest", *arguments])
