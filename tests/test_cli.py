"""The command line: what it prints where, what it refuses and how, and what a signal costs."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import Mock

import psutil
import pytest

from cplab import cli, results, teach
from cplab.base.errors import Diverged
from cplab.runs import Run

CI = "--profile ci --recovery 1"


class Said(NamedTuple):
    """What a command answers: its exit code, what it prints, and the lines of errors."""

    code: int
    out: str
    err: list[str]


def command(*words):
    """Give a command to cplab; what shows progress is left out of its answer."""
    out = io.StringIO()
    err = io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main(" ".join(map(str, words)).split())
    lines = []
    for line in err.getvalue().replace("\r", "\n").splitlines():
        is_progress = re.search(r"\d/\d+ \[", line)
        if line.strip() and not is_progress:
            lines.append(line)
    return Said(code, out.getvalue(), lines)


# Runs and sweeps ----------------------------------------------------------------------------------

RUN = f"run --deficit blur --onset 1 --length 1 --seed 3 --measure trace {CI}"
SAME_RUN = Run("blur", 1, 1, 1, "ci", seed=3)


@pytest.fixture(scope="module")
def twice():
    """What is printed of a run that is asked for twice, and its result after either time."""
    first = command(RUN)
    result = results.find(SAME_RUN, "trace")
    return first, command(RUN), result, results.find(SAME_RUN, "trace")


def test_run_prints_one_line_with_accuracy_key_and_call(twice):
    first, _, result, _ = twice
    assert first.code == 0
    [line] = first.out.splitlines()
    for words in (f"{result.accuracy:.4f}", SAME_RUN.key, SAME_RUN.call()):
        assert words in line


def test_the_second_call_finds_the_result(twice):
    first, second, result, found = twice
    assert second.out == first.out
    assert found.curve == result.curve  # with its times


TWO_RUNS = [Run("blur", 1, 1, 1, "ci"), Run("flip", 1, 1, 1, "ci")]


def test_a_sweep_is_the_product_of_its_lists_with_their_controls():
    """Of no length a deficit is neither blur nor flip. A line has the accuracy of its run."""
    words = "sweep --deficit blur flip --onset 1 --length 0 1 --controls --workers 1"
    lines = command(words, CI).out.splitlines()
    blurred, flipped = TWO_RUNS
    controls = [blurred.equal_training(), blurred.without_window()]
    for run in (blurred, flipped, Run("none", 1, 0, 1, "ci"), *controls):
        [line] = [line for line in lines if run.key in line]
        assert run.call() in line
        assert f"{results.find(run).accuracy:.4f}" in line
    assert len(lines) == 4  # the clear run is the twin of both


# Signals ------------------------------------------------------------------------------------------

SWEEP = (
    "sweep --deficit blur --onset 0 4 --length 4 --recovery 12 --seed 0 1 "
    "--profile ci --dataset mnist --workers"
)
FOREGROUND = """import signal, sys
from cplab.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
sys.exit(main())"""


def kept(cache):
    """The live results: when each was written, by its key."""
    return {path.stem: path.stat().st_mtime_ns for path in (cache / "results").glob("*.json")}


class Interrupted(NamedTuple):
    """A sweep that was interrupted after its first result, and then asked for again.

    kept, resumed: the results after either, by key.
    """

    code: int
    out: str
    err: str
    kept: dict[str, int]
    resumed: dict[str, int]


@pytest.fixture
def interrupted(python, small_mnist, own_cache):
    """The output of the first command comes when nobody holds the other end any more: no worker
    process is left behind."""
    if os.name == "nt":
        pytest.skip("needs signals")
    process = python(FOREGROUND, *SWEEP.split(), 2)
    while not kept(own_cache):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    before = kept(own_cache)
    command(SWEEP, 1)
    return Interrupted(process.returncode, out, err, before, kept(own_cache))


def test_an_interrupted_sweep_goes_on_where_it_was(interrupted):
    assert (interrupted.code, interrupted.out) == (130, "")
    assert "stopped: the same command goes on from here" in interrupted.err.splitlines()
    assert "Traceback" not in interrupted.err
    assert len(interrupted.kept) < 4
    assert len(interrupted.resumed) == 4
    assert interrupted.kept.items() <= interrupted.resumed.items()  # trained once


def test_a_site_that_is_interrupted_says_so_and_leaves_no_kernel(python, tmp_path):
    if os.name == "nt":
        pytest.skip("needs signals")
    process = python(FOREGROUND, "site", tmp_path / "pages", "05")
    while not (kernels := psutil.Process(process.pid).children()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "teach/site.py" not in err  # as in a traceback; a kernel that begins may write its own
    psutil.wait_procs(kernels, timeout=60)
    assert not any(kernel.is_running() for kernel in kernels)


# Mistakes -----------------------------------------------------------------------------------------

BAD = {
    "run --deficit blurr": "blurr none blur flip",
    "run --lenght 3": "--lenght cplab run --help",
    "sweep --workers none --length 0": "workers none",
    "rnu": "rnu run",
    "site": "folder cplab site --help",
}


@pytest.mark.usefixtures("nothing_shipped")
@pytest.mark.parametrize(("typed", "words"), BAD.items())
def test_bad_input_is_refused_in_one_line(typed, words):
    code, out, [line] = command(typed)
    assert code == 2
    assert "Traceback" not in out
    assert line.startswith("error: ")
    for word in words.split():
        assert word in line


def test_an_error_in_training_is_one_line(monkeypatch):
    diverged = Diverged("what went wrong,\nand the remedy")
    monkeypatch.setattr(results, "sweep", Mock(side_effect=diverged))
    assert command("sweep", CI) == (1, "", ["error: what went wrong, and the remedy"])


def test_a_mistake_in_the_program_is_a_traceback(monkeypatch):
    monkeypatch.setattr(results, "sweep", Mock(side_effect=RuntimeError("shapes")))
    with pytest.raises(RuntimeError, match="shapes"):
        command("sweep", CI)


# The labs -----------------------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """A list that takes the commands by which JupyterLab is opened, in an empty folder."""
    commands = []
    monkeypatch.setattr(os, "execv", lambda path, words: commands.append(words))
    monkeypatch.chdir(tmp_path)
    return commands


def test_lab_opens_jupyterlab_on_a_copy(opened, tmp_path):
    code, _, err = command("lab 02")
    assert (code, err) == (0, [])
    [words] = opened
    assert words[:3] == [sys.executable, "-c", cli.JUPYTERLAB]
    path = teach.labs("02")[0]
    assert f"lab/tree/cplab-labs/{path.name}" in " ".join(words)
    assert (tmp_path / "cplab-labs" / path.name).read_text("utf-8") == teach.portable(path)


def test_jupyterlab_opens_without_a_grammar_that_it_does_not_need():
    code = cli.JUPYTERLAB.replace("main()", "print('rfc3987_syntax.syntax_helpers' in sys.modules)")
    words = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert "False" in done.stdout + done.stderr


def test_a_lab_that_has_changed_is_copied_afresh_beside_the_old_one(opened, tmp_path):
    path = teach.labs("02")[0]
    first = tmp_path / "cplab-labs" / path.name
    first.parent.mkdir()
    first.write_text("of last term")
    command("lab 02")
    assert first.read_text() == "of last term"
    fresh = first.with_stem(f"{path.stem}-2")
    assert fresh.read_text("utf-8") == teach.portable(path)


def test_a_lab_that_there_is_not_copies_nothing(opened, tmp_path):
    code, _, [error] = command("lab 17")
    assert (code, opened) == (2, [])
    assert "no lab '17'" in error
    assert [*tmp_path.iterdir()] == []


def test_lab_gives_options_to_jupyterlab(opened):
    assert cli.main(["lab", "02", "--jupyter", "--no-browser", "--port", "9000"]) == 0
    assert opened[0][-3:] == ["--no-browser", "--port", "9000"]


def test_lab_opens_a_folder_of_homework_elsewhere_as_it_is(opened, tmp_path):
    command("teach build first --student 02")
    elsewhere = tmp_path / "some where" / "homework"
    elsewhere.parent.mkdir()
    (tmp_path / "first").rename(elsewhere)
    [homework] = elsewhere.iterdir()
    assert cli.main(["lab", "--folder", str(elsewhere)]) == 0
    assert f"lab/tree/homework/{homework.name}" in " ".join(opened[0])
    assert [*elsewhere.iterdir()] == [homework]
    assert os.getcwd() == str(elsewhere.parent)  # where JupyterLab's tree of files begins


def test_lab_copies_nothing_into_a_folder_that_was_mistyped(opened, tmp_path):
    code, _, [error] = command("lab --folder homewrk")
    assert code == 2
    assert "homewrk has no copy of a lab" in error
    assert not opened
    assert [*tmp_path.iterdir()] == []


@pytest.mark.usefixtures("opened")
def test_a_copy_in_which_somebody_wrote_stays(tmp_path):
    mine = tmp_path / "cplab-labs" / teach.labs("05")[0].name
    mine.parent.mkdir()
    mine.write_text("my own notes")
    command("lab 02")
    assert mine.read_text() == "my own notes"


def test_a_run_takes_one_value_and_a_sweep_several():
    code, _, [line] = command("run --seed 0 1", CI)
    assert code == 2
    assert "1" in line


# Help ---------------------------------------------------------------------------------------------

COMMANDS = ["run", "sweep", "lab", "site", "data fetch", "teach build"]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_listed_and_has_examples_that_parse(words, capsys):
    name, *_ = words.split()
    assert re.search(rf"^ +{name} ", command().out, re.M)
    with pytest.raises(SystemExit) as done:
        cli.main([*words.split(), "--help"])
    assert not done.value.code
    lines = capsys.readouterr().out.splitlines()
    examples = [line for line in lines if line.startswith(f"cplab {name}")]
    assert examples
    for example in examples:
        cli.make_parser().parse_args(example.split()[1:])


@pytest.mark.parametrize("words", COMMANDS)
def test_each_option_and_each_argument_has_its_line_of_help(words, capsys):
    with pytest.raises(SystemExit):
        cli.main([*words.split(), "--help"])
    lists = capsys.readouterr().out.partition("\noptions:")
    [arguments] = re.findall(r"\npositional arguments:(.*)", lists[0], re.S) or [""]
    options = re.findall(r"^  (\S.*(?:\n {8,}.*)*)", arguments + lists[2], re.M)
    assert len(options) >= 2
    for option in options:
        assert re.search(r"\S\s{2,}\w", option), option


def test_no_two_commands_say_the_same(capsys):
    command()
    listed = re.findall(r"^    \w+ +(.+)", command().out, re.M)
    assert len({*listed}) == len(listed) == 6


@pytest.mark.parametrize(("group", "named"), [("data", "fetch"), ("teach", "build")])
def test_a_command_of_commands_lists_them(group, named):
    code, out, err = command(group)
    assert (code, err) == (0, [])
    assert re.search(rf"^    {named} ", out, re.M)


def test_fetching_names_the_sets_that_there_are(capsys):
    with pytest.raises(SystemExit):
        cli.main(["data", "fetch", "--help"])
    assert "cifar10 (170 MB), mnist" in capsys.readouterr().out
