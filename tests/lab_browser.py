"""Drive notebooks in a real JupyterLab, in headless Chromium, with Playwright.

    with chromium() as browser, jupyterlab(folder) as server, page(browser, server) as lab:
        lab.open("lab.ipynb")
        lab.run_all()
        lab.click("Train")
        lab.leave()

JupyterLab has its own settings, but for saving by itself. It is loaded once, and opens one notebook
after the other. What goes wrong unasked lands in `lab.problems`: a Python error in a cell, a widget
callback or a thread (JupyterLab shows the last two to nobody), a JavaScript error, a modal dialog,
a request to another computer. Every wait stops at the first problem, and `leave` ends with a last
look. No wait is for a time: each is for what one looks at.
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
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from browser import find

# Playwright itself adds an empty profile and --no-sandbox.
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",  # which is small in a container
)

# What is looked for is not in a shadow root, as all that Bokeh draws is, thousands of nodes.
LIGHT = "css:light="
PATIENCE = 150  # seconds for what takes a moment on a machine that does nothing else

# Patterns of errors that come when all is well, of a notebook that was closed: of figures that tell
# its kernel their size, of a cell or JupyterLab's debugger that had asked something.
HARMLESS = ("^Error: Cannot send", "Canceled future for [a-z_]+ message before replies were done")


@contextlib.contextmanager
def chromium():
    """Headless Chromium. Without one the tests are skipped, but fail where CI is set.

    For one module at most: while Playwright runs, asyncio.run() fails in this thread.
    """
    from playwright.sync_api import sync_playwright

    path = find()  # before Playwright starts, because it may start one of its own
    if path is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        how = f"{os.path.relpath(sys.executable)} -m playwright install chromium"
        missing(f"there is no browser for the browser tests: `{how}` brings one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def plain_page(browser, **options):
    """A page of its own, with as much patience; an error of its scripts fails in the end."""
    errors = []
    with browser.new_context(**options) as context:
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(error.stack))
        yield page
    assert errors == []


def axe_finds(page, where):
    """What is wrong for those who see or move otherwise: as axe describes it, and where."""
    axe = pytest.importorskip("axe_playwright_python", reason="pip install axe-playwright-python")
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("where => axe.run(where, {preload: false})", where)["violations"]
    return [
        {"id": one["id"], "impact": one["impact"], "at": one["nodes"][0]["html"]} for one in found
    ]


# ---------------------------------------------------------------------------------- server

# labconfig/default_setting_overrides.json: each opening starts from the notebook as it was copied
SETTINGS = {"@jupyterlab/docmanager-extension:plugin": {"autosave": False}}
PAGE_CONFIG = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


@dataclass
class Server:
    """A running JupyterLab."""

    url: str
    token: str

    def request(self, method, path):
        """Call the server's REST API, past any proxy the environment names."""
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": f"token {self.token}"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(request, timeout=30).read()


@contextlib.contextmanager
def jupyterlab(folder, env, timeout=180):
    """Serve a copy of `folder` with JupyterLab on a free port, without the user's settings; `env`
    adds environment variables, which the kernels inherit."""
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
            **env,
        }
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = Server(f"http://127.0.0.1:{port}", secrets.token_hex(16))
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "ServerApp.token": server.token,
            "ServerApp.root_dir": ".",
            "LabApp.expose_app_in_browser": True,  # window.jupyterapp, used below
            "LabApp.extension_manager": "readonly",  # the other one asks the package index
        }
        command = [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())]
        with open(home / "server.log", "w") as log:
            how = {"cwd": served, "env": environ, "stdin": subprocess.DEVNULL}
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **how)
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
  window.allSaid = false;
  window.hearAll = async () => {  // once Python has answered, all that it said before is here
    await context.session.kernel.requestExecute({code: '', silent: true}).done;
    report();
    allSaid = true;
  };
  context.iopubMessage.connect((_, {header, content}) => {
    if (header.msg_type === 'error') console.error(content.traceback.join('\\n'));
    if (header.msg_type !== 'stream' || content.name !== 'stderr') return;
    if (!stderr) setTimeout(report, 300);
    stderr += content.text;
  });
  return context.session.id;
}"""
OPEN = "path => void jupyterapp.commands.execute('docmanager:open', {path})"
CLOSE = """async session => {  // without being asked whether to save
  jupyterapp.shell.currentWidget.dispose();
  await jupyterapp.serviceManager.sessions.shutdown(session).catch(() => {});
}"""
RUN = """() => {
  window.cellsRun = false;
  jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { cellsRun = true });
}"""
RUNNING = """() => {
  const cells = jupyterapp.shell.currentWidget.content.widgets;
  const busy = cells.find(cell => cell.promptNode?.textContent.includes('*'));
  return cellsRun || `running: ${busy?.model.sharedModel.source.slice(0, 200)}`;
}"""
DIALOGS = "[...document.querySelectorAll('.jp-Dialog')].map(box => box.innerText)"
WATCH = """element => {
  element.clicked = false;
  element.addEventListener('click', () => { element.clicked = true }, {once: true});
}"""
# anywidget gives up on a widget whose code is not there after 2 s, which here may be the machine's.
PATIENT = """const after = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = time => after(Math.max(time, 100000));"""


class Lab:
    """A browser page with one notebook at a time.

    `page` is Playwright's own, for what is not here: lab.page.screenshot(path="lab.png").
    """

    def __init__(self, page, server):
        self.page, self.server, self.session, self.problems = page, server, None, []
        self.closing = False  # JupyterLab complains of a kernel that goes, which is no problem
        page.set_default_timeout(1000 * PATIENCE)
        page.add_init_script(PATIENT)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._problem(error.stack or str(error)))
        page.on("request", self._request)

    def _console(self, message):
        text = re.sub(r"\x1b\[[0-9;]*m", "", message.text)  # tracebacks come in colour
        if message.type == "error":
            self._problem(text)

    def _problem(self, text):
        if not self.closing and not any(re.search(one, text) for one in HARMLESS):
            self.problems.append(text)

    def _request(self, request):
        if not request.url.startswith((self.server.url, "data:", "blob:", "about:")):
            self.problems.append(f"request to another computer: {request.url}")

    def check(self):
        """Raise what went wrong since the last check."""
        dialogs = self.page.evaluate(DIALOGS)
        found, self.problems = self.problems + [f"dialog: {d}" for d in dialogs], []
        if found:
            raise AssertionError("\n\n".join(found))

    def wait_for(self, what, read, until=bool, timeout=PATIENCE):
        """Call `read` until `until(value)` holds, then return the value; fail at any problem."""
        deadline, pause = time.monotonic() + timeout, 10
        while True:
            value = read()
            self.check()
            if until(value):
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout} s for {what}; last seen: {value!r}")
            self.page.wait_for_timeout(pause)  # which lets the page speak meanwhile
            pause = min(2 * pause, 200)

    def open(self, path, timeout=300):
        """Open a notebook of the served folder and wait until its kernel is idle.

        Its metadata must name the kernel: JupyterLab asks with a dialog otherwise.
        """
        self.closing = False
        if self.page.url == "about:blank":
            url = f"{self.server.url}/lab/tree/{quote(path)}?reset&token={self.server.token}"
            self.page.goto(url, timeout=1000 * timeout)
        else:
            self.page.evaluate(OPEN, path)
        self.session = self.wait_for(
            f"{path} and its kernel", lambda: self.page.evaluate(OPENED, path), timeout=timeout
        )

    def leave(self):
        """Close the notebook and end its kernel; fails when problems were left over."""
        self.page.evaluate("void hearAll()")
        self.wait_for("all that Python said", lambda: self.page.evaluate("allSaid"))
        self.closing, session, self.session = True, self.session, None
        self.page.evaluate(CLOSE, session)

    def run_all(self, timeout=600):
        """Run all cells; fails with the traceback at the first cell that raises."""
        self.page.evaluate(RUN)
        running = partial(self.page.evaluate, RUNNING)  # the cell that runs, or True
        self.wait_for("all cells to run", running, lambda found: found is True, timeout)

    def find(self, css):
        """Playwright's locator of `css` in the notebook, as in find(".status")."""
        return self.page.locator(f"{LIGHT}.jp-NotebookPanel").locator(LIGHT + css)

    def click(self, label):
        """Click the button that says exactly this, once it is enabled. Where a figure above comes
        late and moves it away between press and release, nothing was clicked, and one clicks
        again, as anybody does who sees it."""
        button = self.find(f".jupyter-button:text-is({json.dumps(label)})")
        button.evaluate(WATCH)
        clicked = "element => element.clicked !== false"  # the clicked one may be there no more
        self.wait_for("a click", lambda: (button.click(), button.evaluate(clicked))[1])


@contextlib.contextmanager
def page(browser, server, width, height):
    """A `Lab` in a fresh browser profile."""
    with browser.new_context(viewport={"width": width, "height": height}) as context:
        yield Lab(context.new_page(), server)
