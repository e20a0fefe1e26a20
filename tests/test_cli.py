"""The command line: what it prints where, what it refuses and how, and what a signal costs."""

import json
import os
import re
import signal
import sys
import time
from unittest.mock import Mock

import pytest

from cplab import cli, results, teach
from cplab.errors import Diverged
from cplab.runs import Run

CI = "--profile ci --recovery 1"


@pytest.fixture
def cplab(capsys):
    """A function that calls the command, and gives exit code, output, and lines of errors."""

    def call(*words):
        code = cli.main(" ".join(map(str, words)).split())
        out, err = capsys.readouterr()
        lines = []
        for line in err.replace("\r", "\n").splitlines():
            is_progress = re.search(r"\d/\d+ \[", line)
            if line.strip() and not is_progress:
                lines.append(line)
        return code, out, lines

    return call


# Runs and sweeps ----------------------------------------------------------------------------------

RUN = f"run --deficit blur --onset 1 --length 1 --seed 3 --measure trace=1 --json {CI}"
SAME_RUN = Run("blur", 1, 1, 1, "ci", seed=3)


@pytest.fixture
def printed(cplab):
    """What a run printed, as JSON."""
    code, out, _ = cplab(RUN)
    assert code == 0
    return json.loads(out)


def test_run_prints_one_line_of_json(cplab):
    _, out, _ = cplab(RUN)
    assert out == json.dumps(json.loads(out)) + "\n"


def test_the_printed_result_is_the_kept_one(printed):
    result = results.find(SAME_RUN)
    assert printed["key"] == result.key
    assert printed["kind"] == "Run"
    assert printed["accuracy"] == result.accuracy
    assert printed["curve"] == result.curve
    assert printed["seconds"] == result.seconds


def test_the_output_names_its_run(printed):
    assert (printed["dataset"], printed["profile"], printed["seed"]) == ("practice", "ci", 3)
    assert Run(**printed["spec"]) == SAME_RUN


def test_measurements_are_printed(printed):
    assert [*printed["measured"]["trace"]] == ["1"]


def test_the_second_call_finds_the_result(cplab, printed):
    assert not printed["cached"]
    code, out, err = cplab(RUN)
    assert (code, err) == (0, [])
    assert json.loads(out) == {**printed, "cached": True}


@pytest.mark.usefixtures("printed")
def test_a_fresh_run_is_trained_again(cplab):
    _, out, _ = cplab(RUN, "--fresh")
    assert not json.loads(out)["cached"]


@pytest.fixture
def swept(cplab):
    """The lines of a sweep of two deficits, with and without length, and their controls."""
    words = "sweep deficit=blur,flip --onset 1 --length 0 --length 1 --controls --workers 1"
    return cplab(words, CI)[1].splitlines()


def test_a_sweep_is_the_product_of_its_lists_with_their_controls(swept):
    """Of no length a deficit is neither blur nor flip."""
    runs = [Run("blur", 1, 1, 1, "ci"), Run("flip", 1, 1, 1, "ci"), Run("none", 1, 0, 1, "ci")]
    controls = [runs[0].equal_training(), runs[0].newborn()]
    for run in (*runs, *controls):
        [line] = [line for line in swept if run.key in line]
        assert run.call() in line
    assert len(swept) == 5


def test_each_line_of_a_sweep_has_its_accuracy(swept):
    for run in (Run("blur", 1, 1, 1, "ci"), Run("flip", 1, 1, 1, "ci")):
        [line] = [line for line in swept if run.key in line]
        assert f"{results.find(run).accuracy:.4f}" in line


# Signals ------------------------------------------------------------------------------------------

SWEEP = (
    "sweep --deficit blur --onset 0 4 --length 4 --recovery 12 --seed 0 1 "
    "--profile ci --dataset mnist --json --workers"
)
FOREGROUND = """import signal, sys
from cplab.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
sys.exit(main())"""


def kept(cache):
    """The keys of live results."""
    return {path.stem for path in (cache / "results").glob("*.json")}


@pytest.fixture
def interrupted(python, small_mnist, own_cache):
    """A sweep that was interrupted after its first result: exit code, output, errors.

    They come when nobody holds the other end any more: no worker process is left behind.
    """
    if os.name == "nt":
        pytest.skip("needs signals")
    process = python(FOREGROUND, *SWEEP.split(), 2)
    while not kept(own_cache):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_an_interrupted_sweep_goes_on_where_it_was(interrupted, cplab, own_cache):
    code, out, err = interrupted
    assert (code, out) == (130, "")
    assert "stopped: the same command goes on from here" in err.splitlines()
    assert "Traceback" not in err
    before = kept(own_cache)
    assert len(before) < 4
    resumed = [json.loads(line) for line in cplab(SWEEP, 1)[1].splitlines()]
    assert {result["key"] for result in resumed if result["cached"]} == before


# Mistakes -----------------------------------------------------------------------------------------

BAD = {
    "run --deficit blurr": "blurr none blur flip",
    "run --frsh": "--frsh --fresh",
    "run lenght=3": "lenght length",
    "sweep --workers none length=0": "workers none",
    "rnu": "rnu run",
    "results ship x": "x train",
    "site": "folder cplab site --help",
}


@pytest.mark.usefixtures("nothing_shipped")
@pytest.mark.parametrize(("typed", "words"), BAD.items())
def test_bad_input_is_refused_in_one_line(cplab, typed, words):
    code, out, [line] = cplab(typed)
    assert code == 2
    assert "Traceback" not in out
    assert line.startswith("error: ")
    for word in words.split():
        assert word in line


def test_an_error_in_training_is_one_line(cplab, monkeypatch):
    diverged = Diverged("what went wrong,\nand the remedy")
    monkeypatch.setattr(results, "sweep", Mock(side_effect=diverged))
    assert cplab("sweep", CI) == (1, "", ["error: what went wrong, and the remedy"])


def test_a_mistake_in_the_program_is_a_traceback(cplab, monkeypatch):
    monkeypatch.setattr(results, "sweep", Mock(side_effect=RuntimeError("shapes")))
    with pytest.raises(RuntimeError, match="shapes"):
        cplab("sweep", CI)


# Results ------------------------------------------------------------------------------------------


@pytest.fixture
def some_results(cplab, nothing_shipped):
    """Of two deficits and three seeds."""
    cplab("sweep --deficit blur flip --length 2 --seed 0 1 2 --workers 1", CI)


@pytest.mark.usefixtures("some_results")
def test_results_are_chosen_by_their_fields(cplab):
    _, out, _ = cplab("results list --deficit flip --seed 0 --seed 1,0")
    keys = {line.split()[0] for line in out.splitlines()[1:]}
    assert keys == {Run("flip", 0, 2, 1, "ci", seed=seed).key for seed in (0, 1)}


@pytest.mark.usefixtures("some_results")
def test_a_list_has_no_column_in_which_nothing_differs(cplab):
    head = cplab("results list")[1].splitlines()[0].split()
    assert "seed" in head
    assert not {"optimizer", "windows"} & {*head}


@pytest.mark.usefixtures("some_results")
def test_verify_counts_good_results(cplab, own_cache):
    assert f"0 shipped and {len(kept(own_cache))} live" in cplab("results verify")[1]


@pytest.mark.usefixtures("some_results")
def test_verify_names_damaged_results(cplab, own_cache):
    path = min((own_cache / "results").glob("*.json"))
    path.write_text(path.read_text()[:200])
    code, out, _ = cplab("results verify")
    assert code == 1
    assert path.name in out
    assert out.endswith("1 bad\n")


# The labs -----------------------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """A list that takes the commands by which JupyterLab is opened, in an empty folder."""
    commands = []
    monkeypatch.setattr(os, "execv", lambda path, words: commands.append(words))
    monkeypatch.chdir(tmp_path)
    return commands


def test_lab_opens_jupyterlab_on_a_copy(cplab, opened, tmp_path):
    code, _, err = cplab("lab 02")
    assert (code, err) == (0, [])
    [command] = opened
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    path = teach.labs("02")[0]
    assert f"lab/tree/cplab-labs/{path.name}" in " ".join(command)
    assert (tmp_path / "cplab-labs" / path.name).read_text("utf-8") == teach.portable(path)


@pytest.mark.usefixtures("opened")
def test_a_copy_in_which_somebody_wrote_stays(cplab, tmp_path):
    mine = tmp_path / "cplab-labs" / teach.labs()[-1].name
    mine.parent.mkdir()
    mine.write_text("my own notes")
    cplab("lab 02")
    assert mine.read_text() == "my own notes"


# Help ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", cli.COMMANDS)
def test_every_command_is_listed(cplab, words):
    assert f"cplab {words} " in cplab("")[1]


@pytest.mark.parametrize("words", cli.COMMANDS)
def test_every_command_has_examples_that_parse(cplab, words):
    code, out, err = cplab(words, "--help")
    assert (code, err) == (0, [])
    examples = [line for line in out.splitlines() if line.startswith(f"cplab {words}")]
    assert examples
    for example in examples:
        assert callable(cli.parse_words(example.split()[1:]))
