"""Install cplab into .venv and open its labs: `python start.py`, on Windows, macOS and Linux alike.

First comes what opens the labs and shows all results. torch, which trains networks, comes while the
first lab is read: into a folder of its own, from which it moves to its place once it is complete.
So nobody ever finds half of it. Until then .venv/torch.txt says why it is not here.

python start.py                    install what is missing, and open the first lab
python start.py 02                 open another lab
python start.py --no-torch         on a metered line: all results can be seen without torch
python start.py --install          install all of it, and open nothing
python start.py -- --no-browser    options for JupyterLab
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent
TORCH = ("torch", "torchvision")
LOCK = "install.lock"
WINDOWS = os.name == "nt"
PAUSE = 0.1  # seconds between two questions whether something has ended
# What is downloaded, of torch 2.15
SMALL = "0.2 GB"
LARGE = "3 GB, and 5 GB on disk, with the libraries for NVIDIA's GPUs"
COMING = (
    "torch is still being installed: try this again once it is here; buttons appear by themselves"
)
LEFT_OUT = "torch was left out: `python start.py` brings it"
STOPPED = "torch's installation was stopped: `python start.py` goes on with it"
NO_BUILD = "torch has no builds for Macs with Intel chips: to train takes another machine"

ended = threading.Event()  # once nobody needs any more what this process does


class Refused(Exception):
    """What went wrong and what to do, in one line."""


def main() -> int:
    """Do what the command line asks for, and return its exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 (it may be started with an older one)
        version = platform.python_version()
        print(
            f"cplab needs Python 3.11 or newer, and this is {version}: install one, or name it, "
            "as in `make lab PYTHON=python3.12`",
            file=sys.stderr,
        )
        return 2
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lab", nargs="*", help="the beginning of its file's name")
    parser.add_argument("--venv", default=ROOT / ".venv", help="another folder than .venv")
    parser.add_argument("--no-torch", action="store_true", help="leave torch out, this time")
    parser.add_argument("--install", action="store_true", help="install all, and open nothing")
    parser.add_argument("--tests", action="store_true", help="the same, and what the tests need")
    parser.add_argument(
        "--torch", action="store_true", help="bring torch alone, see `bring_behind`"
    )
    words, jupyter = sys.argv[1:], []
    if "--" in words:
        words, jupyter = words[: words.index("--")], words[words.index("--") + 1 :]
    options = parser.parse_args(words)
    environment = Environment(Path(options.venv).absolute())
    try:
        if options.torch:
            bring_behind(environment)
        elif options.install or options.tests:
            prepare(environment, "lab", "site")
            bring_torch(environment)
            if options.tests:
                prepare(environment, "test")
        else:
            prepare(environment, "lab", "site")
            return open_lab(environment, options.lab, jupyter, with_torch=not options.no_torch)
    except (Refused, OSError) as error:
        print(f"start.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("start.py: stopped, and the same command goes on", file=sys.stderr)
        return 130
    return 0


# The environment ----------------------------------------------------------------------------------


@dataclass
class Environment:
    """A virtual environment, in which start.py also keeps files of its own.

    Attributes:
        folder: its absolute path.
    """

    folder: Path

    def program(self, name: str) -> str:
        """The path of one of its programs."""
        return str(self.folder / (f"Scripts/{name}.exe" if WINDOWS else f"bin/{name}"))

    @property
    def python(self) -> str:
        """The path of its Python."""
        return self.program("python")

    @property
    def packages(self) -> Path | None:
        """Where its libraries are; None if its Python, or pip, does not run."""
        code = "import pip, sysconfig; print(sysconfig.get_path('purelib'))"
        try:
            done = subprocess.run([self.python, "-c", code], capture_output=True, text=True)
        except OSError:
            return None
        return None if done.returncode else Path(done.stdout.strip())

    @property
    def has_torch(self) -> bool:
        """Whether torch is here."""
        folder = self.packages
        return folder is not None and all((folder / name).exists() for name in TORCH)

    def say(self, line: str) -> None:
        """Say why torch is not here, wherever it is needed; if it is here, the line is empty."""
        note = self.folder / "torch.txt"  # which cplab/base/errors.py reads
        with suppress(OSError):  # a full disk
            if line:
                note.write_text(line, "utf-8")
            else:
                note.unlink(missing_ok=True)


def prepare(environment: Environment, *extras: str) -> None:
    """Install what some extras ask for, except torch, unless it was installed for this very
    pyproject.toml."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    place = f"{ROOT} in {environment.folder}"
    stamp = environment.folder / f".installed-{'-'.join(extras)}"

    def is_done() -> bool:
        return read(stamp) == [place, digest] and environment.packages is not None

    if is_done():
        return
    with alone(environment):
        if is_done():  # by another terminal
            return
        make(environment, has_moved=read(stamp)[:1] not in ([], [place]))
        words = requirements(*extras)
        if "lab" in extras:
            size = "a download of 0.3 GB, and 0.8 GB on disk"
            print(f"What opens the labs is being installed, without torch: {size}.", flush=True)
            words = ["--editable", str(ROOT), *words]
        install(environment, words)
        # JupyterLab's question about news, which would lie over the first cells, is not asked
        settings = environment.folder / "share/jupyter/lab/settings"
        settings.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "binder/overrides.json", settings)
        stamp.write_text(f"{place}\n{digest}\n", "utf-8")


def read(stamp: Path) -> list[str]:
    """The lines of a file; none if there is no file."""
    return stamp.read_text("utf-8").splitlines() if stamp.exists() else []


def make(environment: Environment, has_moved: bool) -> None:
    """Make an environment where there is none that works: it does so only where it was made, and
    with the Python that made it.

    Arguments:
        environment: the environment.
        has_moved: whether it, or the project, was somewhere else.
    """
    if environment.packages and not has_moved:
        return
    if (environment.folder / "pyvenv.cfg").exists():
        why = "this project was moved" if has_moved else "it does not run"
        print(f"{environment.folder} is made anew: {why}", flush=True)
        for path in environment.folder.iterdir():
            if path.name == LOCK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    if subprocess.call([sys.executable, "-m", "venv", str(environment.folder)]):
        raise Refused(f"{environment.folder} could not be made: the lines above say why")


def requirements(*extras: str) -> list[str]:
    """What extras of pyproject.toml ask for, except cplab itself and torch."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = []
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            if others := re.fullmatch(r"cplab\[(.+)\]", line):
                lines += requirements(*others[1].split(","))
            elif re.split(r"[^\w-]", line)[0] not in TORCH:
                lines.append(line)
    return [*dict.fromkeys(lines)]


# Installing ---------------------------------------------------------------------------------------


@contextmanager
def alone(environment: Environment) -> Iterator[None]:
    """A context in which no other process installs into an environment. One that is killed leaves
    it as well."""
    try:
        environment.folder.mkdir(parents=True, exist_ok=True)
        lock = open(environment.folder / LOCK, "a")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise Refused(f"{error}: name a folder that you may write, with --venv or VENV=") from error
    with lock:
        if not is_locked(lock.fileno()):
            print("Another terminal is installing: this one waits.", flush=True)
            while not is_locked(lock.fileno()):
                if ended.wait(PAUSE):
                    raise Refused(STOPPED)
        yield


def is_locked(file: int) -> bool:
    """Whether this process now has the lock of an open file, until it closes the file or ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def run(words: Sequence[str], output: IO | None = None, **variables: str) -> int:
    """Run a program until it ends, or nobody needs it any more, and return its exit code.

    Arguments:
        words: the program, and what is written behind it.
        output: a file for what it prints, in place of the terminal.
        variables: further ones of its environment.
    """
    around = os.environ | variables
    with subprocess.Popen(words, stdout=output, stderr=output, env=around) as process:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PAUSE)
            if ended.is_set():
                process.kill()
        return process.returncode


def install(environment: Environment, words: Sequence[str]) -> None:
    """Install with uv, or with pip where uv cannot."""
    uv = find_uv(environment)
    if uv and run([uv, "pip", "install", "--python", environment.python, *words]) == 0:
        return
    if run([environment.python, "-m", "pip", "install", *words]):
        raise Refused(
            "not all could be installed: the lines above say why; the same command goes on"
        )


def find_uv(environment: Environment) -> str | None:
    """The program uv, which pip brings where it is missing; None where it cannot be had."""
    if uv := shutil.which("uv"):
        return uv
    own = environment.program("uv")
    if not Path(own).exists():
        pip = [environment.python, "-m", "pip", "install", "--quiet", "uv"]
        subprocess.run(pip, capture_output=True)
    return own if Path(own).exists() else None


# torch --------------------------------------------------------------------------------------------


def bring_torch(environment: Environment, log: IO | None = None) -> None:
    """Install torch, unless it is here.

    Arguments:
        environment: where torch is installed.
        log: a file for what the installer prints, in place of the terminal.
    """
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        environment.say(NO_BUILD)
        print(NO_BUILD)
        return
    new = environment.folder / "torch-new"
    with alone(environment):
        why = STOPPED  # at Ctrl-C
        try:
            why = "" if environment.has_torch else fetch_torch(environment, new, log)
        except OSError as error:
            why = failure(str(error))
        finally:
            shutil.rmtree(new, ignore_errors=True)
            environment.say(why)
    if why:
        raise Refused(why)


def fetch_torch(environment: Environment, new: Path, log: IO | None) -> str:
    """Install torch into a folder, and move it from there to its place.

    Arguments:
        environment: where torch is installed.
        new: the folder.
        log: as of `bring_torch`.

    Returns:
        why this was not possible, and what to do; empty if it was.
    """
    environment.say(COMING)
    shutil.rmtree(new, ignore_errors=True)  # of one who was killed
    new.mkdir()
    # What is here stays as it is. torch asks for another setuptools than JupyterLab brings, and
    # runs with either.
    kept = new / "kept.txt"
    freeze = [environment.python, "-m", "pip", "list", "--format=freeze"]
    for name in ("cplab", "pip", "setuptools"):
        freeze += ["--exclude", name]
    with open(kept, "w") as file:
        subprocess.run(freeze, stdout=file)
    words = ["--target", str(new), "--constraint", str(kept), *TORCH]
    command, size = installer(environment)
    print(f"torch, which trains networks, is being installed: a download of {size}.", flush=True)
    # pip writes all of it to a temporary folder first, which may be of memory alone
    if run([*command, *words], log, TMPDIR=str(new)) == 0:
        move_in(new, environment)
        return ""
    if ended.is_set():
        return STOPPED
    lines = [line.strip() for line in read(Path(log.name)) if line.strip()] if log else []
    return failure(lines[-1] if lines else "the lines above say why")


def failure(reason: str) -> str:
    """The line that says why torch could not be installed, and what to do."""
    return f"torch could not be installed ({reason}): `python start.py --install` tries again"


def installer(environment: Environment) -> tuple[list[str], str]:
    """The command that installs the build of torch that fits this machine, and the size of the
    download. That is uv's if uv reaches the builds, which is asked first, for some seconds; else
    pip takes the usual one. Neither compiles anything while somebody trains."""
    if uv := find_uv(environment):
        command = [uv, "pip", "install", "--python", environment.python, "--torch-backend", "auto"]
        quick = {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "10"}
        asked = [*command, "--dry-run", *TORCH]
        found = subprocess.run(asked, capture_output=True, text=True, env=os.environ | quick)
        if found.returncode == 0:
            return command, LARGE if re.search(r"nvidia|\+cu", found.stderr) else SMALL
    pip = [environment.python, "-m", "pip", "install", "--no-compile"]
    return pip, LARGE if sys.platform == "linux" else SMALL


def move_in(new: Path, environment: Environment) -> None:
    """Move the libraries in a folder to those of an environment, except those that are there.
    torch is the last one, so that whoever finds it finds all that it needs."""
    packages = environment.packages
    assert packages
    here = {name_of(info) for info in packages.glob("*.dist-info")}
    infos = sorted(new.glob("*.dist-info"), key=lambda info: name_of(info) == "torch")
    for info in infos:
        if name_of(info) in here:
            continue
        files = (info / "RECORD").read_text("utf-8").splitlines()
        parts = {re.split(r"[/,]", file.strip('"'))[0] for file in files}
        for part in sorted(parts - {"..", info.name}):
            merge(new / part, packages / part)
        merge(info, packages / info.name)


def name_of(info: Path) -> str:
    """The name of the library whose folder of metadata this is."""
    return info.name.partition("-")[0].lower()


def merge(new: Path, old: Path) -> None:
    """Move a file or a folder to where there may be one."""
    if new.is_dir() and old.is_dir():
        for part in [*new.iterdir()]:
            merge(part, old / part.name)
    elif new.exists():
        replace(new, old)


def replace(new: Path, old: Path) -> None:
    """Replace a file or a folder, patiently: on Windows a virus scanner may just be reading it."""
    for _ in range(50):
        with suppress(PermissionError):
            new.replace(old)
            return
        time.sleep(PAUSE)
    new.replace(old)


def bring_behind(environment: Environment) -> None:
    """Bring torch while somebody reads, as long as standard input is open: it closes when the
    process ends that has started this one, however it does."""
    if hasattr(os, "nice"):
        os.nice(5)  # whoever trains comes first

    def end_with_input() -> None:
        os.read(sys.stdin.fileno(), 1)  # which takes no lock that Python's end would wait for
        ended.set()

    threading.Thread(target=end_with_input, daemon=True).start()
    with open(environment.folder / "torch.log", "a+", encoding="utf-8") as log:
        log.truncate(0)
        bring_torch(environment, log)
    print("torch is here: networks can be trained now, without a restart.", flush=True)


# The labs -----------------------------------------------------------------------------------------


def open_lab(
    environment: Environment, lab: Sequence[str], options: Sequence[str], with_torch: bool
) -> int:
    """Open JupyterLab on a copy of a lab, bring torch as long as it runs, and return its exit code.

    Arguments:
        environment: that of JupyterLab.
        lab: the beginning of its file's name, if one is named.
        options: of JupyterLab.
        with_torch: whether torch is brought.
    """
    opening = [environment.python, "-m", "cplab", "lab", *lab, "--jupyter", *options]
    jupyter = subprocess.Popen(opening, cwd=ROOT)
    # At Ctrl-C JupyterLab asks what is meant, and goes on or ends
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: jupyter.terminate())
    if environment.has_torch:
        environment.say("")
        return jupyter.wait()
    if not with_torch:
        environment.say(LEFT_OUT)
        return jupyter.wait()
    own = [sys.executable, __file__, "--torch", "--venv", str(environment.folder)]
    # In a group of its own, which Ctrl-C does not reach
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # on Windows
    with subprocess.Popen(
        own, stdin=subprocess.PIPE, start_new_session=not WINDOWS, creationflags=group
    ) as behind:
        code = jupyter.wait()
        assert behind.stdin
        behind.stdin.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
