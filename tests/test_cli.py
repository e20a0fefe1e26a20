"""The command line: what it prints where, what it refuses and how, and what a signal costs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from cplab import cli, results, teach
from cplab.errors import Diverged
from cplab.results.result import without_times
from cplab.runs import Run

CI = "--profile ci --recovery 1"


@pytest.fixture
def cplab(capsys):
    """A function that calls the command with some words, written in one or several pieces, and
    gives its exit code, its standard output and the lines of its standard error."""

    def call(*words):
        code = cli.main(" ".join(map(str, words)).split())
        out, err = capsys.readouterr()
        lines = err.replace("\r", "\n").splitlines()  # without those of the progress bar
        return code, out, [x for x in lines if x.strip() and not re.search(r"\d/\d+ \[", x)]

    return call


# One run, and sweeps ----------------------------------------------------------------------------


def test_run_prints_one_json_object_and_the_second_call_finds_the_result(cplab):
    words = "run --deficit blur --onset 1 --length 1 --seed 3 --measure trace=1 --json"
    code, out, _ = cplab(words, CI)
    first = json.loads(out)
    assert (code, out) == (0, json.dumps(first) + "\n")
    found = results.find(Run("blur", 1, 1, 1, "ci", seed=3))
    assert (first["key"], first["kind"], first["cached"]) == (found.key, "Run", False)
    assert Run(**first["spec"]) == found.spec
    assert [*first["measured"]["trace"]] == ["1"]
    code, out, err = cplab(words, CI)
    assert (code, err, json.loads(out)) == (0, [], {**first, "cached": True})
    again = json.loads(cplab(words, "--fresh", CI)[1])
    assert not again["cached"]
    assert without_times(again["values"]) == without_times(first["values"])


def test_a_sweep_is_the_product_of_its_lists_and_trains_what_is_double_once(cplab):
    words = "sweep deficit=blur,flip --onset 0 1 --length 0 1 --workers 1 --json"
    found = [json.loads(line) for line in cplab(words, CI)[1].splitlines()]
    # without length no deficit is blur or flip: 2 × 2 with one, 2 without
    assert [result["cached"] for result in found] == [False] * 6
    assert {Run(**result["spec"]) for result in found} == {
        Run(deficit, onset, length, 1, "ci")
        for deficit, length in (("blur", 1), ("flip", 1), ("none", 0))
        for onset in (0, 1)
    }
    again = cplab(words, CI)[1].splitlines()
    assert [json.loads(line) for line in again] == [{**one, "cached": True} for one in found]


def test_a_sweep_may_have_controls_and_prints_a_line_for_each_run(cplab):
    words = "sweep --deficit blur --onset 1 --length 2 seed=0,1 --controls --workers 1"
    lines = cplab(words, CI)[1].splitlines()
    runs = [Run("blur", 1, 2, 1, "ci", seed=seed) for seed in (0, 1)]
    for wanted in (c for run in runs for c in (run, run.equal_training(), run.newborn())):
        [line] = [line for line in lines if results.find(wanted).key in line]
        assert f"{results.find(wanted).accuracy:.4f}" in line
        assert wanted.call() in line
    assert len(lines) == 6


SWEEP = (
    "sweep --deficit blur --onset 0 4 --length 4 --recovery 12 --seed 0 1 "
    "--profile ci --dataset mnist --json --workers"
)
# Tests that run in the background ignore Ctrl-C, and what they start would inherit that.
FOREGROUND = """
import signal, sys
from cplab.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_a_sweep_that_was_interrupted_says_so_in_one_line_and_goes_on(
    cplab, small_mnist, own_cache
):
    process = subprocess.Popen(
        [sys.executable, "-c", FOREGROUND, *SWEEP.split(), str(os.cpu_count())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not list((own_cache / "results").glob("*.json")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        # ends when nobody holds the other end any more: no worker process is left behind
        out, err = process.communicate(timeout=300)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, out, "Traceback" in err) == (130, "", False), err
    assert err.splitlines()[-1] == "stopped: the same command goes on from here"
    done = {path.stem for path in (own_cache / "results").glob("*.json")}
    assert 1 <= len(done) < 4

    resumed = [json.loads(line) for line in cplab(SWEEP, 1)[1].splitlines()]
    assert len(resumed) == 4
    assert {result["key"] for result in resumed if result["cached"]} == done


# Bad input --------------------------------------------------------------------------------------

BAD = {
    "run --deficit blurr": "blurr none blur flip",
    "run --measure trace=0,x": "x whole",
    "run --deficit blur --onset 2.5": "onset 2.5 integer",
    "run --seed": "--seed",
    "run --frsh": "--frsh --fresh",
    "run now": "now deficit=blur",
    "run lenght=3": "lenght length",
    "sweep --workers none deficit=blur": "workers none",
    "rnu": "rnu run",
    "results retrain": "keys",
    "results ship x": "x train",
    "lab nonsense": "nonsense",
}


@pytest.mark.parametrize("typed", BAD)
def test_bad_input_is_refused_in_one_line(cplab, nothing_shipped, typed):
    code, out, lines = cplab(typed)
    assert len(lines) == 1, lines
    [line] = lines
    assert (code, "Traceback" in out) == (2, False)
    assert line.startswith("error: ")
    assert not [word for word in BAD[typed].split() if word not in line]


def test_what_goes_wrong_in_training_is_one_line_and_a_mistake_in_the_program_is_not(
    cplab, monkeypatch
):
    def fail(*_, **__):
        raise errors.pop()

    errors = [RuntimeError("shapes do not match"), Diverged("what went wrong,\nand the remedy")]
    monkeypatch.setattr(results, "sweep", fail)
    assert cplab("sweep", CI) == (1, "", ["error: what went wrong, and the remedy"])
    with pytest.raises(RuntimeError, match="shapes"):
        cplab("sweep", CI)


# Results ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_shipped")
def test_results_are_listed_and_verified(cplab, own_cache):
    cplab("sweep --deficit blur flip --length 2 4 --seed 0 1 --recovery 1 --profile ci --workers 1")
    code, out, err = cplab("results list --deficit flip --profile ci")
    assert (code, err) == (0, [])
    head, *rows = [line.split() for line in out.splitlines()]
    assert {row[head.index("deficit")] for row in rows} == {"flip"}
    assert not {"optimizer", "momentum", "arithmetic", "windows"} & {*head}  # the same in each line
    flipped = [Run("flip", 0, n, 1, profile="ci", seed=s) for n in (2, 4) for s in (0, 1)]
    assert {row[0] for row in rows} == {run.key for run in flipped}
    kept = sorted((own_cache / "results").glob("*.json"))
    assert f"0 shipped and {len(kept)} live" in cplab("results verify")[1]
    kept[0].write_text(kept[0].read_text()[:200])
    code, out, _ = cplab("results verify")
    assert (code, kept[0].name in out, out.endswith("1 bad\n")) == (1, True, True)


# The rest ---------------------------------------------------------------------------------------


def test_lab_opens_jupyterlab_on_a_copy_that_pulling_cannot_touch(cplab, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(os, "execv", lambda path, words: opened.append(words))
    monkeypatch.chdir(tmp_path)
    names = [path.name for path in teach.labs()]
    mine = tmp_path / "cplab-labs" / names[2]
    mine.parent.mkdir()
    mine.write_text("my own notes")
    code, _, err = cplab("lab 02")
    [command] = opened
    assert (code, err) == (0, [])
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"lab/tree/cplab-labs/{teach.labs('02')[0].name}" in " ".join(command)
    assert mine.read_text() == "my own notes"
    assert (mine.parent / names[0]).read_bytes() == teach.labs()[0].read_bytes()


ALONE = """import sys
class Missing:  # as if these were not installed
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "torchvision", "loky", "jupyterlab"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import cplab
from cplab.cli import main
main(["run", "--deficit", "blur", "--length", "8"])
cplab.Explorer()
try:
    cplab.images("practice", "ci")
except cplab.CplabError as error:
    print(error)
sys.exit(main(["run", "--profile", "ci", "--onset", "3"]))"""


def test_the_package_alone_shows_what_was_trained_and_names_what_trains(python):
    process = python(ALONE)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 2
    [line] = err.splitlines()
    for said in (line, out.splitlines()[-1]):
        assert "torch" in said
        assert "pip install 'cplab[train]'" in said
    assert "shipped" in out


@pytest.mark.parametrize("words", cli.COMMANDS)
def test_every_command_explains_itself_with_examples_that_parse(cplab, words):
    code, out, err = cplab(words, "--help")
    assert (code, err) == (0, [])
    examples = [line for line in out.splitlines() if line.startswith(f"cplab {words}")]
    assert examples
    for example in examples:
        assert callable(cli.parse_words(example.split()[1:]))


def test_the_first_words_list_the_commands_that_begin_so(cplab):
    for words in ("", "results"):
        code, out, err = cplab(words)
        assert (code, err) == (0, [])
        named = [name for name in cli.COMMANDS if f"cplab {name} " in out]
        assert named == [name for name in cli.COMMANDS if name.startswith(words)]


@pytest.mark.skipif(os.name == "nt", reason="needs pipes")
def test_what_reads_along_may_stop_reading(python):
    process = python("import sys; from cplab.cli import main; sys.exit(main(['results', 'list']))")
    process.stdout.close()
    assert process.wait(300) == 0
    assert process.stderr.read() == ""
