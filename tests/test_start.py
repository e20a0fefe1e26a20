"""start.py, in a folder that stands for a clone, with wheels of a few bytes that stand for what it
installs: what opens the labs comes first, and torch behind it.

One environment is made for nearly all tests, since that takes seconds; after each it is as before.
"""

import contextlib
import http.server
import inspect
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT

import start
from cplab import Run
from cplab.base import errors
from cplab.estimates import Lack
from cplab.lab import missing
from cplab.lab.buttons import button as train

posix = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")


def wheel(folder, name, version, files=(), needs=()):
    """Write a wheel, and return its file's name. Arguments: files, [(path, text)] beside an empty
    package; needs, what it requires."""
    info = f"{name}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {line}\n" for line in needs)
    contents = {
        f"{name}/__init__.py": "",
        **dict(files),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},,\n" for path in [*contents, f"{info}/RECORD"]]
    contents[f"{info}/RECORD"] = "".join(lines)
    file = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, file), "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return file


PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "cplab"
version = "0"
[project.optional-dependencies]
train = ["shared", "torch>=1", "torchvision>=0.1"]
lab = ["cplab[train]", "jupyterlab>=1"]
site = ["cplab[train]"]
test = ["cplab[lab]", "torchtests"]
"""
BACKEND = """
import os, zipfile
{wheel}
def build_editable(folder, *more):
    return wheel(folder, "cplab", "0", [("cplab/__main__.py", {main!r})])
build_wheel = build_editable
"""
CPLAB = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: print("really?", flush=True))
print("opened", *sys.argv[1:], flush=True)
if sys.argv[2] == "17":
    sys.exit("there is no lab 17")
while not pathlib.Path("close").exists():
    time.sleep(0.02)
"""


PATIENCE = 600  # seconds for what takes some on a machine that does nothing else


def end_terminal(process):
    """Kill a process, and what it has started in its terminal."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Clone:
    """A folder that stands for a clone, and a folder of wheels that stands for an index."""

    def __init__(self, folder, wheels, server):
        self.folder = folder
        self.wheels = wheels
        self.server = server
        self.environment = start.Environment(folder / ".venv")
        nothing = folder / "nothing"
        nothing.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "PYTHON"))}
        self.settings = kept | {
            "PATH": str(nothing),  # no uv
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
            "PIP_DEFAULT_TIMEOUT": str(PATIENCE),  # the server makes it wait
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def leave_uv(self):
        """Bring a uv that can do nothing, so that pip does not look for one at each start."""
        uv = Path(self.settings["PATH"], "uv")
        uv.write_text("#!/bin/sh\nexit 1\n")
        uv.chmod(0o755)

    def start(self, *words):
        """Start start.py as in a terminal of its own; its output is read as text."""
        process = subprocess.Popen(
            [sys.executable, self.folder / "start.py", *map(str, words)],
            env=self.settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        watch = threading.Timer(PATIENCE, end_terminal, [process])
        watch.daemon = True
        watch.start()
        return process

    def run(self, *words):
        """Run start.py to its end. Returns: its exit code, and what it printed."""
        with self.start(*words) as process:
            printed, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, printed

    def close_jupyterlab(self, process):
        """Close JupyterLab, and give all that was printed."""
        (self.folder / "close").touch()
        printed, _ = process.communicate(timeout=PATIENCE)
        (self.folder / "close").unlink()
        return printed

    def python(self, code):
        """Run code in the environment. Returns: what it printed, errors as well."""
        words = [self.environment.python, "-c", code]
        done = subprocess.run(words, capture_output=True, text=True, cwd=self.wheels)
        return (done.stdout + done.stderr).strip()


class Server:
    """Serves torch's wheels, the last bytes of torch only once it may."""

    def __init__(self, folder):
        self.may = threading.Event()
        self.asked = threading.Event()
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                if "torch-" in self.path:
                    server.asked.set()
                    server.may.wait(PATIENCE)
                super().do_GET()

            def log_message(self, *words):
                pass

        handler = partial(Handler, directory=str(folder))
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.http.server_port}/"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Wheels of what opens the labs, and of torch."""
    opens, torch = tmp_path_factory.mktemp("opens"), tmp_path_factory.mktemp("torch")
    wheel(opens, "jupyterlab", "1.0", needs=["setuptools"])
    wheel(opens, "setuptools", "98.0")
    wheel(opens, "shared", "1.0")
    wheel(opens, "torchtests", "1.0", needs=["torch"])
    wheel(torch, "shared", "2.0")
    wheel(torch, "setuptools", "99.0")
    for name in ("one", "other"):  # which have a folder in common, as NVIDIA's libraries have
        wheel(torch, name, "1.0", [(f"nvidia/{name}/lib.py", "")])
    code = "import nvidia.one.lib, nvidia.other.lib, shared"
    needs = ["shared", "one", "other", "setuptools>=99"]
    wheel(torch, "torch", "2.0", [("torch/__init__.py", code)], needs)
    wheel(torch, "torch", "3.0", [("torch/__init__.py", code)], ["shared>=2"])
    wheel(torch, "torchvision", "0.2", [("torchvision/__init__.py", "import torch")], ["torch"])
    return opens, torch


@pytest.fixture(scope="module")
def made(folders, tmp_path_factory):
    """A clone, in whose environment is what opens the labs."""
    opens, torch = folders
    folder = tmp_path_factory.mktemp("a clone") / "cplab"
    (folder / "binder").mkdir(parents=True)
    shutil.copy(ROOT / "start.py", folder)
    shutil.copy(ROOT / "binder" / "overrides.json", folder / "binder")
    (folder / "pyproject.toml").write_text(PROJECT)
    backend = BACKEND.format(wheel=inspect.getsource(wheel), main=CPLAB)
    (folder / "backend.py").write_text(backend)
    clone = Clone(folder, opens, Server(torch))
    with clone.start("--no-torch") as process:
        clone.first = [read_until(process, "opened"), clone.close_jupyterlab(process)]
    assert process.returncode == 0, clone.first
    clone.settings["PIP_FIND_LINKS"] += f" {clone.server.address}"
    clone.leave_uv()
    yield clone
    clone.server.http.shutdown()
    clone.server.http.server_close()


@pytest.fixture
def clone(made):
    """The same, without torch."""
    made.server.may.set()
    made.server.asked.clear()
    yield made
    packages = made.environment.packages
    for name in (*start.TORCH, "nvidia", "one", "other"):
        for path in packages.glob(f"{name}*"):
            shutil.rmtree(path)
    made.environment.say("")


def read_until(process, word):
    """What a process prints, up to a line with a word."""
    lines = ""
    for line in process.stdout:
        lines += line
        if word in line:
            return lines
        assert "could not" not in line, lines
    raise AssertionError(lines)


def why_missing(clone, monkeypatch):
    """What the package says in that environment where torch is needed."""
    monkeypatch.setattr(sys, "prefix", str(clone.environment.folder))
    return errors.why_missing("torch")


# The labs are opened ------------------------------------------------------------------------------


def test_the_first_lab_is_opened_without_torch(made):
    opened, _ = made.first
    assert opened.endswith("opened lab --jupyter\n")
    assert "No module named 'torch'" in made.python("import torch")
    overrides = made.environment.folder / "share/jupyter/lab/settings/overrides.json"
    assert overrides.exists()  # which tells JupyterLab not to ask about news


def test_where_torch_was_left_out_it_says_so(made, monkeypatch):
    assert why_missing(made, monkeypatch) == start.LEFT_OUT


def test_a_lab_is_opened_by_its_name_with_jupyterlab_s_options(clone):
    with clone.start("02b", "--no-torch", "--", "--no-browser") as process:
        opened = read_until(process, "opened")
        clone.close_jupyterlab(process)
    assert opened.endswith("opened lab 02b --jupyter --no-browser\n")


def test_a_lab_that_there_is_not_ends_with_the_error_of_cplab(clone):
    code, printed = clone.run("17", "--no-torch")
    assert code == 1
    assert printed.splitlines()[-1] == "there is no lab 17"


# torch comes --------------------------------------------------------------------------------------


def test_torch_comes_while_jupyterlab_runs_and_all_else_stays(clone, monkeypatch):
    clone.server.may.clear()
    before = clone.python("import importlib.metadata as m; print(m.version('setuptools'))")
    with clone.start() as process:
        read_until(process, "opened")
        assert clone.server.asked.wait(PATIENCE)
        assert why_missing(clone, monkeypatch) == start.COMING
        assert "No module named 'torch'" in clone.python("import torch")
        clone.server.may.set()
        read_until(process, "torch is here")
        assert clone.python("import torchvision") == ""
        assert clone.close_jupyterlab(process) == ""
    assert "pip install" in why_missing(clone, monkeypatch)  # if somebody takes it away
    versions = "print(m.version('shared'), m.version('torch'), m.version('setuptools'))"
    assert clone.python(f"import importlib.metadata as m; {versions}") == f"1.0 2.0 {before}"
    assert not (clone.environment.folder / "torch-new").exists()


def test_a_page_is_told_what_training_waits_for_and_then_that_it_can_begin(clone, monkeypatch):
    clone.server.may.clear()
    torch = clone.environment.packages / "torch"
    monkeypatch.setattr(train, "find_spec", lambda name: name != "torch" or torch.exists() or None)
    monkeypatch.setattr(sys, "prefix", str(clone.environment.folder))
    monkeypatch.setattr(train, "LOOK_EVERY", 0.05)
    heard = queue.Queue()
    with clone.start() as process:
        read_until(process, "opened")
        assert clone.server.asked.wait(PATIENCE)
        button = missing.offer([Lack(Run("blur", length=1, recovery=1, profile="ci"))])
        monkeypatch.setattr(button.link, "send", heard.put)
        button.link._handle_custom_msg({"hello": True}, [])
        assert heard.get(timeout=PATIENCE) == {"alive": True, "why": start.COMING}
        clone.server.may.set()
        assert heard.get(timeout=PATIENCE) == {"alive": True, "why": ""}
        clone.close_jupyterlab(process)


def test_torch_ends_with_jupyterlab_and_the_next_start_goes_on(clone, monkeypatch):
    clone.server.may.clear()
    with clone.start() as process:
        read_until(process, "opened")
        assert clone.server.asked.wait(PATIENCE)
        clone.close_jupyterlab(process)  # which waits for all that print there
    assert why_missing(clone, monkeypatch) == start.STOPPED
    assert not (clone.environment.folder / "torch-new").exists()
    clone.server.may.set()
    assert clone.run("--install")[0] == 0
    assert clone.python("import torch") == ""


@posix
def test_torch_ends_with_a_terminal_that_is_closed(clone, monkeypatch):
    clone.server.may.clear()
    with clone.start() as process:
        read_until(process, "opened")
        assert clone.server.asked.wait(PATIENCE)
        end_terminal(process)
        process.communicate(timeout=PATIENCE)  # until nobody prints there any more
    assert why_missing(clone, monkeypatch) == start.STOPPED


@posix
def test_ctrl_c_is_jupyterlab_s(clone):
    clone.server.may.clear()
    with clone.start() as process:
        read_until(process, "opened")
        assert clone.server.asked.wait(PATIENCE)
        os.killpg(process.pid, signal.SIGINT)
        read_until(process, "really?")
        clone.server.may.set()
        read_until(process, "torch is here")
        clone.close_jupyterlab(process)
    assert process.returncode == 0


def test_a_second_terminal_opens_the_labs_and_brings_torch_if_the_first_one_ends(clone):
    clone.server.may.clear()
    with clone.start() as first:
        read_until(first, "opened")
        assert clone.server.asked.wait(PATIENCE)
        second = clone.start()
        read_until(second, "this one waits")
        first.kill()
        clone.server.may.set()
        read_until(second, "torch is here")
        clone.close_jupyterlab(second)
        first.communicate(timeout=PATIENCE)


def test_a_failure_says_why_and_what_to_do_where_torch_is_needed(clone, monkeypatch):
    monkeypatch.setitem(clone.settings, "PIP_FIND_LINKS", str(clone.wheels))
    with clone.start() as process:
        opened = read_until(process, "opened")
        said = read_until(process, "could not be installed")
        clone.close_jupyterlab(process)
    assert "opened" in opened
    for line in (said, why_missing(clone, monkeypatch)):
        assert "No matching distribution found for torch" in line
        assert "`python start.py --install` tries again" in line


@posix
@pytest.mark.parametrize("found", ["torch==2.15.0+cpu", "nvidia-cublas==13.4", ""])
def test_the_build_of_torch_that_fits_is_uv_s_where_uv_finds_it(found, tmp_path, monkeypatch):
    """With a uv that only says what it would install."""
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\n[ "{found}" ] && echo " + {found}" >&2\n')
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")  # where the usual build is the large one
    command, size = start.installer(start.Environment(tmp_path))
    assert command[0] == (str(uv) if found else start.Environment(tmp_path).python)
    assert size == (start.LARGE if "nvidia" in found or not found else start.SMALL)


def test_the_tests_wait_for_all_of_it(clone):
    assert clone.run("--tests")[0] == 0
    assert clone.python("import torch, torchtests") == ""


def test_who_finds_torch_finds_all_that_it_needs(folders, tmp_path, monkeypatch):
    """Wherever the move to its place is interrupted; and the next one goes on."""
    move = start.replace
    environment = start.Environment(tmp_path / "env")
    packages = tmp_path / "env" / "lib"
    monkeypatch.setattr(start.Environment, "packages", packages)
    names = {file.name.partition("-")[0] for file in folders[1].glob("*.whl")} | {"nvidia"}
    for moves in range(20):
        shutil.rmtree(tmp_path / "env", ignore_errors=True)
        packages.mkdir(parents=True)
        left = iter(range(moves))

        def interrupted(new, old, left=left):
            next(left)
            move(new, old)

        for replace in (interrupted, move):
            new = tmp_path / "env" / "new"
            for file in folders[1].glob("*.whl"):
                zipfile.ZipFile(file).extractall(new)
            monkeypatch.setattr(start, "replace", replace)
            try:
                start.move_in(new, environment)
            except StopIteration:
                if not (packages / "torch").exists():
                    continue
            assert names <= {path.name for path in packages.iterdir()}
            assert {path.name for path in (packages / "nvidia").iterdir()} == {"one", "other"}


# The environment ----------------------------------------------------------------------------------


def test_what_is_installed_is_not_installed_again(clone, monkeypatch):
    monkeypatch.setitem(clone.settings, "PIP_FIND_LINKS", "")
    with clone.start("--no-torch") as process:
        assert "installed" not in read_until(process, "opened")
        clone.close_jupyterlab(process)


def test_a_change_of_the_project_is_installed(clone, folders):
    wheel(clone.wheels, "added", "1.0")
    project = clone.folder / "pyproject.toml"
    project.write_text(PROJECT.replace('"jupyterlab>=1"', '"jupyterlab>=1", "added"'))
    with clone.start("--no-torch") as process:
        read_until(process, "opened")
        clone.close_jupyterlab(process)
    assert clone.python("import added") == ""


def test_a_project_that_was_moved_has_its_environment_made_anew(clone):
    there = clone.folder.rename(clone.folder.with_name("moved here"))
    moved = Clone(there, clone.wheels, clone.server)
    with moved.start("--no-torch") as process:
        assert "made anew: this project was moved" in read_until(process, "opened")
        moved.close_jupyterlab(process)
    there.rename(clone.folder)


def test_an_environment_whose_python_is_gone_is_made_anew(clone):
    python = Path(clone.environment.python)
    python.unlink()
    python.symlink_to("/nowhere/python")
    with clone.start("--no-torch") as process:
        assert "made anew: " in read_until(process, "opened")
        clone.close_jupyterlab(process)


def test_a_folder_that_cannot_be_written_ends_in_one_line(clone, tmp_path):
    (tmp_path / "file").touch()
    code, printed = clone.run("--venv", tmp_path / "file" / "env")
    assert code == 2
    [line] = printed.splitlines()
    assert "name a folder that you may write" in line


def test_an_older_python_is_told_what_is_needed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 6))
    assert start.main() == 2
    assert "cplab needs Python 3.11 or newer" in capsys.readouterr().err


def test_it_says_that_macs_with_intel_chips_have_no_torch(clone, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(start.platform, "machine", lambda: "x86_64")
    start.bring_torch(clone.environment)
    assert why_missing(clone, monkeypatch) == start.NO_BUILD
    assert start.NO_BUILD in capsys.readouterr().out


def test_what_opens_the_labs_is_all_that_they_and_the_site_ask_for_but_torch():
    lines = start.requirements("lab", "site")
    assert {"loky>=3.4", "cloudpickle>=3.0", "jupyterlab>=4.5", "pdoc>=15"} <= {*lines}
    assert not [line for line in lines if line.startswith(("torch", "cplab"))]
