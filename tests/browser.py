"""A browser for tests of pages: a system Chromium or Chrome, else playwright's own; and JupyterLab.

`python tests/browser.py` exits with 1 where there is no browser; with `--fetch` it downloads one
first. No wait is for a time: each is for what is looked at.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, expect, sync_playwright

NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
FLAGS = ("--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")
PATIENCE = 150_000  # milliseconds for what takes a moment on a machine that does nothing else


def start(playwright):
    """Headless Chromium, or None where none starts, be it a placeholder or without libraries."""
    for path in (*filter(None, map(shutil.which, NAMES)), None):  # None is playwright's own
        with contextlib.suppress(Error):
            return playwright.chromium.launch(executable_path=path, args=FLAGS)


@pytest.fixture(scope="session")
def one_browser():
    """Headless Chromium, started once, and the loop by which this thread talks to it. Without one
    the tests are skipped, but fail where CI is set."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = start(playwright)
        if browser is None:
            missing = pytest.fail if os.environ.get("CI") else pytest.skip
            how = f"{os.path.relpath(sys.executable)} -m playwright install chromium"
            missing(f"there is no browser for the browser tests: `{how}` brings one")
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture(scope="module")
def chromium(one_browser):
    """The browser, for one module. Other modules may have a loop of their own: while Playwright's
    counts as running, asyncio.run() fails in this thread."""
    browser, loop = one_browser
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)


# anywidget gives up on a widget whose code is not there after 2 s, which here may be the machine's.
PATIENT = """const after = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = time => after(Math.max(time, 100000));"""
# The body of a page, before the elements there begin.
KEEP = """document.addEventListener("DOMContentLoaded", () => {
  globalThis.unopened = document.body.innerHTML;
}, {once: true});"""


@contextlib.contextmanager
def plain_page(browser, **options):
    """A page of its own, with as much patience. In the end an error of its scripts fails."""
    wrong = []
    with browser.new_context(**options) as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.add_init_script(PATIENT)
        page.add_init_script(KEEP)
        page.on("pageerror", lambda error: wrong.append(error.stack))
        yield page
        assert wrong == [], wrong


@pytest.fixture(scope="module")
def used_page(chromium):
    """A page that the tests of a module use in turn, each by `open_anew`."""
    with plain_page(chromium) as page:
        yield page


FORGET = "sessionStorage.clear(); Storage.prototype.setItem = () => {}"


def open_anew(page, address):
    """Go to an address in a page that another test has used. What scripts kept there is forgotten.
    It takes a third of the time that a new page takes."""
    if page.url.startswith("file:"):
        page.evaluate(FORGET)
    page.mouse.move(0, 0)
    page.goto(address)


def axe_finds(page, where):
    """What is wrong for those who see or move otherwise: as axe describes it, and where."""
    options = {"preload": False, "resultTypes": ["violations"]}  # not all that is right as well
    violations = Axe().run(page, where, options).response["violations"]
    return [(wrong["impact"], wrong["id"], wrong["nodes"][0]["html"]) for wrong in violations]


OPTIONS = (
    "--ServerApp.open_browser=False",
    "--ServerApp.allow_root=True",
    "--ServerApp.ip=127.0.0.1",
    "--LabApp.expose_app_in_browser=True",  # window.jupyterapp, used below
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",  # the other one asks the package index
)


# Without a grammar that takes long to compile, as in conftest.py
SERVER = """import sys
sys.modules["rfc3987_syntax"] = None
from jupyterlab.labapp import main
main()"""


def server_description(runtime):
    """What a server has written about itself into its folder; None as long as it has not."""
    for path in runtime.glob("jpserver-*.json"):
        if text := path.read_text():
            return json.loads(text)
    return None


@contextlib.contextmanager
def jupyterlab(folder):
    """Address and token of a JupyterLab of a folder, with a cache there and no user's settings."""
    environment = {}
    for name, value in os.environ.items():
        if not name.startswith(("JUPYTER", "IPYTHON")):
            environment[name] = value
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR", "CPLAB_CACHE"):
        environment[name] = str(folder / "home" / name)
    environment["CPLAB_WORKERS"] = "1"  # each of which loads torch
    runtime = folder / "home" / "runtime"
    environment["JUPYTER_RUNTIME_DIR"] = str(runtime)
    command = [sys.executable, "-c", SERVER, *OPTIONS]
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        while not (description := server_description(runtime)):
            assert process.poll() is None, (folder / "server.log").read_text()[-3000:]
            time.sleep(0.1)
        yield description["url"], description["token"]
    finally:
        process.terminate()  # which also ends the kernels
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:  # on a machine with much else to do
            process.kill()
            process.wait()


# Gives nothing back, since all that belongs to a notebook would be sent.
OPEN = "async (path) => { await jupyterapp.commands.execute('docmanager:open', {path}); }"
READY = """path => {
  const panel = globalThis.jupyterapp?.shell.currentWidget;
  return panel?.context?.path === path && panel.sessionContext.session?.kernel?.status === 'idle';
}"""


def open_jupyterlab(page, server):
    """Open JupyterLab in a page, with no notebook."""
    url, token = server
    page.goto(f"{url}lab?reset&token={token}")
    page.wait_for_function("globalThis.jupyterapp")
    page.evaluate("async () => { await jupyterapp.restored; }")


def open_notebook(page, path):
    """Open a notebook, with its kernel, in a page that has JupyterLab."""
    page.evaluate(OPEN, path)
    page.wait_for_function(READY, arg=path)
    return page.locator("#" + page.evaluate("jupyterapp.shell.currentWidget.id"))


if __name__ == "__main__":
    with sync_playwright() as playwright:
        is_here = start(playwright) is not None
    if "--fetch" in sys.argv and not is_here:
        install = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(install, capture_output=True)  # where it fails, the tests say so
        is_here = True
    sys.exit(not is_here)
