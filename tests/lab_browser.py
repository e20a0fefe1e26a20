"""Drive a notebook in a real JupyterLab, in headless Chromium, with Playwright.

    LAB = Path("labs/02_blur_critical_period.ipynb")
    browser, opened, lab = lab_browser.browser, lab_browser.opened, lab_browser.lab  # fixtures

    def test_lab(lab):  # open, in the ci profile, all its cells run
        lab.move_slider("Onset", +3)
        lab.click("Train")
        lab.wait_text(".status", "done")

What goes wrong on its own lands in `lab.problems`: a Python error in a cell, a widget callback
or a thread (JupyterLab shows the last two to nobody), a JavaScript error, a modal dialog, output
dropped by the server's rate limit, a request to another computer. Every wait stops at the first
problem, and `open_lab` ends with a last look.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import nbformat
import pytest
from browser import find

# Playwright itself adds an empty profile and, by default, --no-sandbox.
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PATIENCE = 150  # seconds for what takes a moment on a machine that does nothing else

# Patterns of console errors that come when all is well, each with its reason. So far: none.
HARMLESS = ()


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium. Without one the tests are skipped, but fail where CI is set.

    Not for the whole session: while Playwright runs, asyncio.run() fails in this thread, and so
    would the tests of other modules.
    """
    from playwright.sync_api import sync_playwright

    path = find()  # before Playwright starts, because it may start one of its own
    if path is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("no browser for the browser tests: install Chromium or Google Chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


# ---------------------------------------------------------------------------------- server

SETTINGS = {  # labconfig/default_setting_overrides.json
    # every cell stays in the page, also when it is scrolled out of sight
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    # each opening starts from the notebook as it was copied
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
PAGE_CONFIG = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


@dataclass
class Server:
    """A running JupyterLab; `folder` is the temporary copy that it serves."""

    url: str
    token: str
    folder: Path

    def request(self, method, path):
        """Call the server's REST API, past any proxy the environment names."""
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": f"token {self.token}"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(request, timeout=30).read()


@contextlib.contextmanager
def jupyterlab(folder, env=None, timeout=60):
    """Serve a copy of `folder` with JupyterLab on a free port, without the user's settings.

    `env` adds environment variables, which the kernels inherit.
    """
    with tempfile.TemporaryDirectory(prefix="jupyterlab-", ignore_cleanup_errors=True) as temp:
        home = Path(temp)
        served = Path(shutil.copytree(folder, home / "lab"))
        config = home / "config" / "labconfig"
        config.mkdir(parents=True)
        (config / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
        (config / "page_config.json").write_text(json.dumps(PAGE_CONFIG))
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
        environ |= {
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),  # kernels of this environment are still found
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython"),
            **(env or {}),
        }
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = Server(f"http://127.0.0.1:{port}", secrets.token_hex(16), served)
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "ServerApp.root_dir": served,
            "IdentityProvider.token": server.token,
            "LabApp.expose_app_in_browser": True,  # window.jupyterapp, used below
            "LabApp.extension_manager": "readonly",  # the other one asks the package index
        }
        command = [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())]
        with open(home / "server.log", "w") as log:
            process = subprocess.Popen(
                command,
                cwd=served,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            deadline = time.monotonic() + timeout
            while True:
                with contextlib.suppress(OSError):
                    server.request("GET", "/api/status")
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    said = (home / "server.log").read_text()[-3000:]
                    raise RuntimeError(f"JupyterLab did not start:\n{said}")
                time.sleep(0.1)
            yield server
        finally:
            with contextlib.suppress(OSError):  # the polite way also ends the kernels
                server.request("POST", "/api/shutdown")
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# ------------------------------------------------------------------------------------ page

# Returns the session once the notebook is ready, and repeats Python's errors on the console.
OPENED = """path => {
  const panel = window.jupyterapp?.shell.currentWidget;
  const context = panel?.sessionContext;
  if (panel?.context?.path !== path || !panel.content?.model || !context.isReady) return null;
  if (context.session?.kernel?.status !== 'idle') return null;
  let stderr = '';  // a thread's traceback comes in pieces
  const report = () => {
    if (/^(Traceback|IOPub \\w+ rate exceeded)/m.test(stderr)) console.error(stderr);
    stderr = '';
  };
  context.iopubMessage.connect((_, {header, content}) => {
    if (header.msg_type === 'error') console.error(content.traceback.join('\\n'));
    if (header.msg_type !== 'stream' || content.name !== 'stderr') return;
    if (!stderr) setTimeout(report, 300);
    stderr += content.text;
  });
  return context.session.id;
}"""
RUN_ALL = """() => {
  window.cellsRun = false;
  jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { cellsRun = true });
}"""
RUNNING = """() => {
  const cells = jupyterapp.shell.currentWidget.content.widgets;
  const busy = cells.find(cell => cell.promptNode?.textContent.includes('*'));
  return cellsRun || `running: ${busy?.model.sharedModel.source.slice(0, 200)}`;
}"""
TO_SCREEN = """([name, x, y]) => {  // also finds a figure inside a bokeh layout; the newest one
  const shown = view => view.model.name === name && view.frame && view.el.isConnected;
  const view = window.Bokeh && [...Bokeh.index.query(shown)].at(-1);
  if (!view) return null;
  view.el.scrollIntoView({block: 'center'});
  const {left, top} = view.canvas_view.el.getBoundingClientRect();
  const [sx, sy] = [view.frame.x_scale.compute(x), view.frame.y_scale.compute(y)];
  return view.frame.bbox.contains(sx, sy) && [left + sx, top + sy];
}"""
SOURCE = """name => {  // a cell that ran twice leaves its first document behind: take the newest
  const models = (window.Bokeh?.documents ?? []).flatMap(d => [...d._all_models.values()]);
  const source = models.filter(m => m.name === name && m.data).at(-1);
  if (!source) return null;
  return Object.fromEntries(Object.entries(source.data).map(([k, v]) => [k, Array.from(v)]));
}"""


class Lab:
    """A browser page with one notebook.

    `page` is Playwright's own, for what is not here: lab.page.screenshot(path="lab.png").
    """

    def __init__(self, page, server):
        self.page, self.server, self.session, self.problems = page, server, None, []
        page.set_default_timeout(1000 * PATIENCE)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(error.stack or str(error)))
        page.on("request", self._request)

    def _console(self, message):
        text = re.sub(r"\x1b\[[0-9;]*m", "", message.text)  # tracebacks come in colour
        if message.type == "error" and not any(re.search(h, text) for h in HARMLESS):
            self.problems.append(text)

    def _request(self, request):
        if not request.url.startswith((self.server.url, "data:", "blob:")):
            self.problems.append(f"request to another computer: {request.url}")

    def check(self):
        """Raise what went wrong since the last check."""
        dialogs = self.page.locator(".jp-Dialog").all_inner_texts()
        found, self.problems = self.problems + [f"dialog: {d}" for d in dialogs], []
        if found:
            raise AssertionError("\n\n".join(found))

    def wait_for(self, what, read, until=bool, timeout=PATIENCE):
        """Call `read` until `until(value)` holds, then return the value; fail at any problem."""
        deadline = time.monotonic() + timeout
        while True:
            value = read()
            self.check()
            if until(value):
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout} s for {what}; last seen: {value!r}")
            self.page.wait_for_timeout(100)

    def open(self, path, timeout=120):
        """Open a notebook of the served folder and wait until its kernel is idle.

        Its metadata must name the kernel: JupyterLab asks with a dialog otherwise.
        """
        self.close()
        url = f"{self.server.url}/lab/tree/{quote(path)}?reset&token={self.server.token}"
        self.page.goto(url, timeout=1000 * timeout)
        self.session = self.wait_for(
            f"{path} and its kernel", lambda: self.page.evaluate(OPENED, path), timeout=timeout
        )

    def close(self):
        """End the kernel; the next `open` starts from nothing."""
        if self.session:
            with contextlib.suppress(OSError):  # it may have ended by itself
                self.server.request("DELETE", f"/api/sessions/{self.session}")
            self.session = None

    def run_all(self, timeout=120):
        """Run all cells; fails with the traceback at the first cell that raises."""
        self.page.evaluate(RUN_ALL)
        self.wait_for(
            "all cells to run", lambda: self.page.evaluate(RUNNING), lambda v: v is True, timeout
        )

    def find(self, css):
        """Playwright's locator of `css` in the notebook, as in find(".status")."""
        return self.page.locator(".jp-NotebookPanel").locator(css)

    def control(self, target):
        """The widget with this description or, when it begins with a dot, this CSS class."""
        if target.startswith("."):
            return self.find(target)
        return self.find(f".jupyter-widgets:has(> .widget-label:text-is({json.dumps(target)}))")

    def text(self, css):
        """The text of the element, once it is there."""
        return self.find(css).inner_text()

    def wait_text(self, css, pattern, timeout=PATIENCE):
        """Wait until the element's text matches the regular expression; returns the text."""
        texts = self.wait_for(
            f"{css} to match {pattern!r}",
            self.find(css).all_inner_texts,
            lambda texts: any(re.search(pattern, text) for text in texts),
            timeout,
        )
        return texts[0]

    def click(self, label):
        """Click the button that says exactly this, once it is enabled."""
        self.find(f".jupyter-button:text-is({json.dumps(label)})").click()

    def move_slider(self, target, steps, handle="lower"):
        """Press an arrow key `steps` times on a slider; returns the handle's new value.

        `handle="upper"` is the right one of a range slider; a selection slider gives the index.
        """
        knob = self.control(target).locator(f".noUi-handle-{handle}")
        for _ in range(abs(steps)):
            knob.press("ArrowRight" if steps > 0 else "ArrowLeft")
        return float(knob.get_attribute("aria-valuenow"))

    def answer(self, question, choice):
        """Answer a covered question and reveal what is under it; returns the box as a locator."""
        box = self.find(f".cplab-prediction:has-text({json.dumps(question)})")
        assert "Covered until you have answered" in box.inner_text()
        assert box.locator(".jupyter-button:text-is('Reveal')").is_disabled()
        box.get_by_label(choice, exact=True).check()
        box.locator(".jupyter-button:text-is('Reveal')").click()
        said = f"You said: {choice}"
        self.wait_for(f"what is under {question!r}", box.inner_text, lambda text: said in text)
        return box

    def uncover(self, question, choice, figures, words):
        """Answer a question and wait for so many figures and a pattern in the words beneath it."""
        box = self.answer(question, choice)
        self.wait_for(
            f"figures under {question!r}",
            lambda: box.locator("canvas").count(),
            lambda found: found >= figures,
        )
        self.wait_for(words, box.inner_text, lambda text: re.search(words, text))
        assert not re.search("(?i)not (trained|computed) yet", box.inner_text())

    def fill(self, target, value):
        """Type into a text or number widget, and Enter."""
        field = self.control(target).locator("input")
        field.fill(str(value))
        field.press("Enter")

    def tap(self, figure, x, y):
        """Click at data coordinates (or factors) of the bokeh figure with this `name`."""
        point = self.wait_for(
            f"figure {figure!r} to show ({x}, {y})",
            lambda: self.page.evaluate(TO_SCREEN, [figure, x, y]),
        )
        self.page.mouse.click(*point)
        self.page.wait_for_timeout(350)  # bokeh takes a second tap within 300 ms for a double tap

    def source(self, name):
        """The browser's copy of the ColumnDataSource with this `name`: a dict of lists, or None."""
        return self.page.evaluate(SOURCE, name)


@contextlib.contextmanager
def open_lab(browser, server, width=1400, height=1000):
    """A `Lab` in a fresh browser profile. Leaving it fails when problems were left over."""
    context = browser.new_context(viewport={"width": width, "height": height})
    lab = Lab(context.new_page(), server)
    try:
        yield lab
        lab.page.wait_for_timeout(400)  # a thread's traceback is reported a little late
        lab.check()
    finally:
        context.close()
        lab.close()


@contextlib.contextmanager
def rehearsed(browser, path, home, timeout=800):
    """A `Lab` that has the notebook `path` open, in the ci profile, with nothing trained before and
    all its cells run; `home` is an empty folder for it."""
    (home / "labs").mkdir()
    lab = nbformat.read(path, as_version=4)
    for cell in lab.cells:
        cell.source = cell.source.replace('profile = "auto"', 'profile = "ci"')
    nbformat.write(lab, home / "labs" / "lab.ipynb")
    env = {"CPLAB_CACHE": str(home / "cache"), "CPLAB_DATA": "", "OMP_NUM_THREADS": "1"}
    with jupyterlab(home / "labs", env=env) as server, open_lab(browser, server) as lab:
        lab.open("lab.ipynb")
        lab.run_all(timeout)
        yield lab


@pytest.fixture(scope="module")
def opened(browser, request, tmp_path_factory):
    """The LAB of the test's module, rehearsed. One for all tests of it, to spare time."""
    with rehearsed(browser, request.module.LAB, tmp_path_factory.mktemp("browser")) as lab:
        yield lab


@pytest.fixture
def lab(opened):
    """The same; whatever goes wrong during a test fails it."""
    yield opened
    opened.check()
