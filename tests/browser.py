"""The browser of the browser tests: a system Chromium or Chrome, else playwright's own.

`python tests/browser.py` makes sure that there is one, or says in one line what to install.
`python tests/browser.py --find` only looks, and exits with 1 where there is none.
"""

import shutil
import subprocess
import sys
from functools import cache

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


def runs(path):
    """Whether the browser starts: a placeholder or one without its libraries does not."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def playwrights_own():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


@cache
def find():
    """The path of a browser that starts, for playwright's `executable_path`, or None."""
    for name in NAMES:
        path = shutil.which(name)
        if path and runs(path):
            return path
    path = playwrights_own()
    return path if runs(path) else None


def ensure():
    """`find`, after a download through playwright where nothing was found at first."""
    if find() is None:
        install = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(install, capture_output=True)
        find.cache_clear()
    return find()


if __name__ == "__main__":
    if sys.argv[1:] == ["--find"]:
        sys.exit(find() is None)
    if ensure() is None:
        print("No browser for the browser tests: install Chromium or Google Chrome to run them.")
