"""The browser of the browser tests: a system Chromium or Chrome, else playwright's own.

`python tests/browser.py` exits with 1 where there is none; with `--fetch` it downloads one first.
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


@cache
def find():
    """The path of a browser that starts, for playwright's `executable_path`, or None."""
    from playwright.sync_api import sync_playwright

    for path in filter(None, map(shutil.which, NAMES)):
        if runs(path):
            return path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if runs(own) else None


if __name__ == "__main__":
    if "--fetch" in sys.argv and find() is None:
        install = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(install, capture_output=True)
        find.cache_clear()
        sys.exit(0)  # without one the tests say so
    sys.exit(find() is None)
