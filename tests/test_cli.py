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
        lines = err.replace("\r", "\n").splitlines()
        return code, out, [x for x in lines if x.strip() and not re.search(r"\d/\d+ \[", x)]

    return call


def test_run_prints_one_json_object_and_the_second_call_finds_the_result(cplab):
    words = f"run --deficit blur --onset 1 --length 1 --seed 3 --measure trace=1 --json {CI}"
    code, out, _ = cplab(words)
    first = json.loads(out)
    assert (code, out) == (0, json.dumps(first) + "\n")
    found = results.find(Run("blur", 1, 1, 1, "ci", seed=3))
    known = {"key": found.key, "kind": "Run", "cached": False, "seconds": found.seconds}
    known |= {"accuracy": found.accuracy, "curve": found.curve, "dataset": "practice"}
    assert first | known | {"profile": "ci", "seed": 3} == first
    assert Run(**first["spec"]) == found.spec
    assert [*first["measured"]["trace"]] == ["1"]
    code, out, err = cplab(words)
    assert (code, err, json.loads(out)) == (0, [], {**first, "cached": True})
    assert not json.loads(cplab(words, "--fresh")[1])["cached"]


def test_a_sweep_is_the_product_of_its_lists_with_controls_and_a_line_for_each_run(cplab):
    words = "sweep deficit=blur,flip --onset 1 --length 0 --length 1 --controls --workers 1"
    lines = cplab(words, CI)[1].splitlines()
    wanted = {Run(deficit, 1, length, 1, "ci") for deficit in ("blur", "flip") for length in (0, 1)}
    wanted |= {control for run in wanted for control in (run.equal_training(), run.newborn())}
    assert len(lines) == len(wanted) == 5  # without length no deficit is blur or flip
    for run in wanted:
        [line] = [line for line in lines if run.key in line]
        assert f"{results.find(run).accuracy:.4f}" in line
        assert run.call() in line


SWEEP = (
    "sweep --deficit blur --onset 0 4 --length 4 --recovery 12 --seed 0 1 "
    "--profile ci --dataset mnist --json --workers"
)
FOREGROUND = """import signal, sys
from cplab.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
sys.exit(main())"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_a_sweep_that_was_interrupted_says_so_in_one_line_and_goes_on(
    cplab, python, small_mnist, own_cache
):
    def done():
        return {path.stem for path in (own_cache / "results").glob("*.json")}

    process = python(FOREGROUND, *SWEEP.split(), 2)
    while not done():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    # ends when nobody holds the other end any more: no worker process is left behind
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out, "Traceback" in err) == (130, "", False), err
    assert "stopped: the same command goes on from here" in err.splitlines()
    before = done()
    assert len(before) < 4
    resumed = [json.loads(line) for line in cplab(SWEEP, 1)[1].splitlines()]
    assert {result["key"] for result in resumed if result["cached"]} == before


BAD = {
    "run --deficit blurr": "blurr none blur flip",
    "run --frsh": "--frsh --fresh",
    "run lenght=3": "lenght length",
    "sweep --workers none length=0": "workers none",
    "rnu": "rnu run",
    "results ship x": "x train",
    "site": "folder cplab site --help",
}


@pytest.mark.parametrize("typed", BAD)
def test_bad_input_is_refused_in_one_line(cplab, nothing_shipped, typed):
    code, out, [line] = cplab(typed)
    assert (code, "Traceback" in out) == (2, False)
    assert line.startswith("error: ")
    assert not [word for word in BAD[typed].split() if word not in line]


def test_what_goes_wrong_in_training_is_one_line_and_a_mistake_in_the_program_is_not(
    cplab, monkeypatch
):
    sweep = Mock(side_effect=[Diverged("what went wrong,\nand the remedy"), RuntimeError("shapes")])
    monkeypatch.setattr(results, "sweep", sweep)
    assert cplab("sweep", CI) == (1, "", ["error: what went wrong, and the remedy"])
    with pytest.raises(RuntimeError, match="shapes"):
        cplab("sweep", CI)


def test_results_are_listed_and_verified(cplab, nothing_shipped, own_cache):
    cplab("sweep --deficit blur flip --length 2 --seed 0 1 2 --workers 1", CI)
    listed = cplab("results list --deficit flip --seed 0 --seed 1,0")[1].splitlines()
    head, *rows = [line.split() for line in listed]
    assert not {"optimizer", "windows"} & {*head}  # the same in each line
    assert {row[0] for row in rows} == {Run("flip", 0, 2, 1, "ci", seed=s).key for s in (0, 1)}
    kept = sorted((own_cache / "results").glob("*.json"))
    assert f"0 shipped and {len(kept)} live" in cplab("results verify")[1]
    kept[0].write_text(kept[0].read_text()[:200])
    code, out, _ = cplab("results verify")
    assert (code, kept[0].name in out, out.endswith("1 bad\n")) == (1, True, True)


def test_lab_opens_jupyterlab_on_a_copy_that_pulling_cannot_touch(cplab, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(os, "execv", lambda path, words: opened.append(words))
    monkeypatch.chdir(tmp_path)
    first, mine = teach.labs()[0], tmp_path / "cplab-labs" / teach.labs()[-1].name
    mine.parent.mkdir()
    mine.write_text("my own notes")
    assert cplab("lab 02")[::2] == (0, [])
    [command] = opened
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"lab/tree/cplab-labs/{teach.labs('02')[0].name}" in " ".join(command)
    assert mine.read_text() == "my own notes"
    assert (mine.parent / first.name).read_text("utf-8") == teach.portable(first)


@pytest.mark.parametrize("words", cli.COMMANDS)
def test_every_command_is_listed_and_explains_itself_with_examples_that_parse(cplab, words):
    assert f"cplab {words} " in cplab("")[1]
    code, out, err = cplab(words, "--help")
    assert (code, err) == (0, [])
    examples = [line for line in out.splitlines() if line.startswith(f"cplab {words}")]
    assert examples
    assert all(callable(cli.parse_words(example.split()[1:])) for example in examples)
