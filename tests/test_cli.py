"""The command line: what it prints where, what it refuses and how, and what a signal costs."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from cplab import cli, results, teach
from cplab.errors import CplabError, Diverged, Exhausted
from cplab.profiles import PROFILES
from cplab.runs import Run
from cplab.studies import pruning

CI = "--profile ci --recovery 1"


@pytest.fixture
def cplab(capsys):
    """A function that calls the command with some words, written in one or several pieces, and
    gives its exit code, its standard output and the lines of its standard error."""

    def call(*words):
        code = cli.main(" ".join(map(str, words)).split())
        out, err = capsys.readouterr()
        return code, out, err.replace("\r", "\n").splitlines()

    return call


def beside_the_bar(lines):
    """What standard error says beside the progress bar."""
    return [line for line in lines if line.strip() and not re.search(r"\d/\d+ \[", line)]


def values(result):
    """What training gave, without how long it took."""
    curve = [{k: v for k, v in row.items() if k != "seconds"} for row in result["values"]["curve"]]
    return {**result["values"], "curve": curve}


# One run ----------------------------------------------------------------------------------------


def test_run_prints_one_json_object_and_the_second_call_finds_the_result(cplab, one_thread):
    words = "run --deficit blur --onset 1 --length 1 --seed 3 --json"
    code, out, _ = cplab(words, CI)
    assert code == 0
    first = json.loads(out)
    assert out == json.dumps(first) + "\n"
    run = Run("blur", 1, 1, 1, "ci", seed=3)
    found = results.find(run)
    assert (first["key"], first["kind"], first["cached"]) == (run.key, "Run", False)
    assert Run(**first["spec"]) == run
    assert first["values"] == found.values
    assert [row["phase"] for row in found.curve] == ["clear", "deficit", "recovery"]
    assert first["seconds"] == found.seconds > 0
    assert {"device", "precision", "torch", "commit", "threads", "copy", "source"} <= first.keys()

    code, out, err = cplab(words, CI)
    assert (code, err) == (0, [])
    assert json.loads(out) == {**first, "cached": True}


def test_progress_goes_to_standard_error(cplab, one_thread):
    code, _, err = cplab("run --onset 60 --json", CI)  # what is over at once shows no bar
    assert code == 0
    assert "61/61" in err[-1]


def test_fresh_trains_again(cplab, one_thread):
    first = json.loads(cplab("run --json", CI)[1])
    again = json.loads(cplab("run --json --fresh", CI)[1])
    assert again["cached"] is False
    assert values(again) == values(first)
    assert again["seconds"] != first["seconds"]


def test_without_json_a_few_lines_say_it(cplab, one_thread):
    run = Run(profile="ci", recovery=1, seed=1)
    for origin in ("trained in", "live"):
        _, out, _ = cplab("run --seed 1", CI)
        assert f"{results.find(run).accuracy:.4f}" in out
        assert origin in out
        assert run.key in out
        call = next(line for line in out.splitlines() if line.startswith("cplab.run("))
        assert eval(call, {"cplab": SimpleNamespace(run=Run)}) == run


def test_a_measurement_is_attached_to_the_same_result(cplab, one_thread):
    plain = json.loads(cplab("run --onset 1 --json", CI)[1])
    measured = json.loads(cplab("run --onset 1 --measure trace=1 ending --json", CI)[1])
    assert measured["key"] == plain["key"]
    assert values(measured) == values(plain)
    assert {name: [*found] for name, found in measured["measured"].items()} == {
        "trace": ["1"],
        "ending": ["1"],
    }
    out = cplab("run --onset 1 --measure trace=1", CI)[1]
    assert "trace measured" in out
    assert "live" in out


def test_a_key_stands_for_a_result_and_options_change_its_fields(cplab, one_thread):
    run = Run("blur", 1, 1, 1, "ci")
    cplab("run --deficit blur --onset 1 --length 1", CI)
    code, out, _ = cplab(f"run {run.key} --json")
    assert (code, json.loads(out)["key"], json.loads(out)["cached"]) == (0, run.key, True)
    code, out, _ = cplab(f"run {run.key} --deficit flip --seed 1 --json")
    assert Run(**json.loads(out)["spec"]) == Run("flip", 1, 1, 1, "ci", seed=1)


def test_another_kind_of_result_has_its_own_fields(cplab):
    code, out, err = cplab("run Search --help")
    assert (code, err) == (0, [])
    assert re.search("--gamma.+percent of a layer", out)  # the words of its docstring
    assert "--onset" not in out
    code, out, _ = cplab("run Search --dataset mnist --gamma 0.016 --json")
    found = json.loads(out)
    assert (code, found["kind"], found["source"], found["cached"]) == (0, "Search", "shipped", True)
    found = json.loads(cplab("run Retraining --kind random --json")[1])
    spec = pruning.Retraining("random", search=pruning.Search())
    assert (found["key"], found["source"]) == (spec.key, "shipped")


# Sweeps -----------------------------------------------------------------------------------------


def test_a_sweep_is_the_product_of_its_lists_and_trains_what_is_double_once(cplab, one_thread):
    words = "sweep --deficit blur flip --onset 0 1 --length 0 1 --seed 0 1 --workers 1"
    code, out, err = cplab(words, CI, "--json")
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    # without length no deficit is blur or flip: 2 × 2 with one, 2 without, 2 seeds each
    assert len(found) == len({result["key"] for result in found}) == 12
    assert {Run(**result["spec"]) for result in found} == {
        Run(deficit, onset, length, 1, "ci", seed=seed)
        for deficit, length in (("blur", 1), ("flip", 1), ("none", 0))
        for onset in (0, 1)
        for seed in (0, 1)
    }
    assert "12 of 12" in err[-1]
    assert "100%" in err[-1]
    assert not any(result["cached"] for result in found)

    code, out, err = cplab(words, CI, "--json")
    assert (code, err) == (0, [])
    assert [json.loads(line) for line in out.splitlines()] == [{**r, "cached": True} for r in found]


def test_the_table_of_a_sweep_has_means_over_seeds_and_controls(cplab, one_thread):
    words = "sweep --deficit blur --onset 1 --length 2 --seed 0 1 --controls --workers 1"
    code, out, _ = cplab(words, CI)
    assert code == 0
    rows = pd.read_csv(io.StringIO(out), sep=r"\s+", keep_default_na=False)
    assert rows[["deficit", "onset", "length"]].to_numpy().tolist() == [
        ["blur", 1, 2],
        ["none", 3, 0],
        ["none", 0, 0],
    ]
    accuracies = [results.find(Run("blur", 1, 2, 1, "ci", seed=s)).accuracy for s in (0, 1)]
    assert rows["count"].to_list() == [2, 2, 2]
    assert rows["mean"][0] == pytest.approx(sum(accuracies) / 2, abs=1e-4)


def test_the_table_of_a_sweep_has_a_line_for_each_value_of_any_field(cplab, one_thread):
    out = cplab("sweep --optimizer sgd adam --seed 0 1 --workers 1", CI)[1]
    rows = pd.read_csv(io.StringIO(out), sep=r"\s+").set_index("optimizer")
    for name in ("sgd", "adam"):
        runs = [Run(recovery=1, profile="ci", optimizer=name, seed=s) for s in (0, 1)]
        mean = sum(results.find(run).accuracy for run in runs) / 2
        assert rows["mean"][name] == pytest.approx(mean, abs=1e-4)
    assert "optimizer" in cplab("results list")[1]


SWEEP = (
    "sweep --deficit blur --onset 0 4 --length 4 --recovery 24 --seed 0 1 "
    "--profile ci --dataset mnist --json --workers"
)


@pytest.fixture(scope="module")
def undisturbed():
    """What the sweep gives where nothing disturbs it, once it ran."""
    return {}


# Tests that run in the background ignore Ctrl-C, and what they start would inherit that.
FOREGROUND = """
import signal, sys
from cplab.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


@pytest.fixture
def started(small_mnist):
    """The command in a process group of its own, with a worker on each core."""
    # that many workers train on one thread each, as the rest of these tests does
    process = subprocess.Popen(
        [sys.executable, "-c", FOREGROUND, *SWEEP.split(), str(os.cpu_count())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # with the workers, if they outlive it
    process.communicate()


def wait_for(condition, process):
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_was_ended_goes_on(
    cplab, one_thread, started, own_cache, tmp_path, monkeypatch, undisturbed, sent
):
    wait_for(lambda: list((own_cache / "results").glob("*.json")), started)
    if sent == signal.SIGINT:
        os.killpg(started.pid, sent)  # as a terminal does
    else:
        started.kill()
    # ends when nobody holds the other end any more: no worker process is left behind
    out, err = started.communicate(timeout=300)
    assert out == ""
    assert "Traceback" not in err
    if sent == signal.SIGINT:
        assert started.returncode == 130
        assert err.splitlines()[-1] == "stopped: the same command goes on from here"
    done = {path.stem for path in (own_cache / "results").glob("*.json")}
    assert 1 <= len(done) < 4

    code, out, _ = cplab(SWEEP, 1)
    resumed = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {result["key"] for result in resumed if result["cached"]} == done
    if not undisturbed:
        monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / "other"))
        _, out, _ = cplab(SWEEP, 1)
        undisturbed |= {r["key"]: values(r) for r in map(json.loads, out.splitlines())}
    assert {result["key"]: values(result) for result in resumed} == undisturbed


CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children")


@pytest.mark.skipif(not CHILDREN.exists(), reason="needs Linux")
def test_ctrl_c_while_workers_start_is_one_line_as_well(started):
    def workers():
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
        return any(b"loky" in command for command in commands)

    wait_for(workers, started)
    time.sleep(0.2)  # they import torch now
    os.killpg(started.pid, signal.SIGINT)
    out, err = started.communicate(timeout=300)
    assert (started.returncode, out) == (130, "")
    assert beside_the_bar(err.replace("\r", "\n").splitlines()) == [
        "stopped: the same command goes on from here"
    ]


# Bad input --------------------------------------------------------------------------------------

BAD = {
    "run --deficit blurr": "blurr none blur flip",
    "run --deficit blur-99 --length 1": "blur-99 blur-16",
    "run --model vgg": "vgg allcnn",
    "run --dataset imagenet": "imagenet cifar10 practice",
    "run --profile big": "big course",
    "run --schedule cosine": "cosine paper fixed",
    "run --optimizer lion": "lion sgd adam",
    "run --measure taste": "taste trace ending",
    "run --measure trace=0,x": "x whole",
    "run --measure trace=always": "always every",
    "sweep --optimizer sgd lion": "lion sgd adam",
    "run --device tpu --profile ci": "tpu cuda cpu",
    "run --deficit blur --onset 2.5": "onset 2.5 whole",
    "run --deficit blur --onset x": "onset x whole",
    "run --deficit blur --length -1": "length -1 whole",
    "run --deficit blur --length=-1": "length -1 whole",
    "run --length 3": "length 3 none",
    "run --recovery 0": "0 epochs",
    "run --seed -1": "seed -1 whole",
    "run --seed": "--seed argument",
    "run --seed 0 1": "1",
    "run --frsh": "--frsh --fresh",
    "run --augment perhaps": "augment perhaps yes no",
    "run --windows blank": "window blank",
    "run now": "now Run Search key",
    "run 0123456789abcdef": "0123456789abcdef",
    "rnu": "rnu run",
    "sweep --onset 0 2.5": "onset 2.5 whole",
    "sweep --onset 0 -1": "onset -1 whole",
    "sweep --onset 0,2": "onset 0,2 whole",
    "sweep --deficit blur none --length 4": "length 4 none",
    "sweep --workers 0 --profile ci": "workers 0 1",
    "sweep --workers two --profile ci": "workers two whole",
    "sweep --controls --recovery 0 --onset 1": "0 epochs",
    "sweep Search --controls": "controls Search",
    "data fetch": "DATASET",
    "data fetch practice": "practice cifar10 mnist",
    "data burn": "burn fetch",
    "results list --deficit blurr": "blurr blur",
    "results list --profile big": "big course",
    "results list Serach": "Serach Search",
    "results list Search --seed 1": "filters Search",
    "results export": "FILE",
    "results export table.xls": ".xls .csv .parquet",
    "results export /dev/null/table.csv": "/dev/null/table.csv another",
    "results verify --retrain x": "retrain x whole",
    "results verify --retrain 1": "shipped",
    "results retrain 0123456789abcdef": "0123456789abcdef",
    "results ship ../x": "../x plain",
    "results ship x": "x train",
    "lab nonsense": "nonsense",
    "results verify --profile big": "big course",
    "results verify --device tpu": "tpu cuda",
    "sweep --onset " + "0 " * 400 + "--seed " + "0 " * 400: "160000 100000",
}


@pytest.mark.parametrize("typed", BAD)
def test_bad_input_is_refused_in_one_line(cplab, nothing_shipped, typed):
    code, out, err = cplab(typed)
    assert (code, out.count("Traceback")) == (2, 0)
    [line] = err
    assert line.startswith("error: ")
    for word in BAD[typed].split():
        assert word in line
    if "verify" not in typed:
        assert out == ""


@pytest.mark.parametrize("words", ["teach build DIR --student", "site DIR 01", "teach figures DIR"])
@pytest.mark.parametrize("place", ["", "file", "/proc/x"])
def test_a_folder_that_is_none_is_refused_and_nothing_is_written(
    words, place, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cplab.lab.exhibits.photograph", lambda plots: {"one.svg": b"<svg/>"})
    monkeypatch.setattr("cplab.lab.exhibits.EXHIBITS", {})
    Path("file").write_text("as it was")
    assert cli.main([word.replace("DIR", place) for word in words.split()]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert place in line
    assert ": name " in line
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]
    assert Path("file").read_text() == "as it was"


def test_python_and_the_command_refuse_in_the_same_words(cplab):
    _, _, [line] = cplab("run --deficit blur --schedule cosine")
    with pytest.raises(CplabError) as refused:
        Run("blur", schedule="cosine")
    assert line == f"error: {refused.value}"


def test_a_truncated_data_set_is_named_with_the_remedy(cplab, small_mnist):
    small_mnist.write_bytes(small_mnist.read_bytes()[:5000])
    code, out, err = cplab("run --dataset mnist", CI)
    assert (code, out) == (2, "")
    [line] = err
    assert str(small_mnist) in line
    assert "cplab data fetch mnist" in line


def test_a_data_set_that_cannot_be_fetched(cplab, monkeypatch):
    from cplab import data

    def no_network(*_):
        raise OSError("Name or service not known")

    monkeypatch.setattr(data, "download", no_network)
    for words in (f"run --dataset mnist {CI}", "data fetch mnist"):
        code, out, [announced, line] = cplab(words)
        assert (code, out) == (2, "")
        assert announced.startswith("fetching mnist")
        for word in ("error: mnist", "service not known", "$CPLAB_DATA", "--dataset practice"):
            assert word in line


def test_a_cache_that_cannot_be_written_costs_one_warning(cplab, one_thread, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / "file" / "cache"))
    code, out, err = cplab("run --json", CI)
    assert code == 0
    assert json.loads(out)["key"] == Run(profile="ci", recovery=1).key
    [line] = beside_the_bar(err)
    assert line.startswith("warning: ")
    assert "$CPLAB_CACHE" in line

    words = "sweep --deficit blur --onset 1 2 --length 1 --workers 1 --json"  # two branches
    code, out, err = cplab(words, CI)
    assert (code, len(out.splitlines()), len(beside_the_bar(err))) == (0, 2, 1)


@pytest.mark.parametrize("kind", [Diverged, Exhausted])
def test_what_goes_wrong_in_training_is_one_line(cplab, monkeypatch, kind):
    def fail(*_, **__):
        raise kind("what went wrong,\nand the remedy")

    monkeypatch.setattr(results, "sweep", fail)
    assert cplab("sweep", CI) == (1, "", ["error: what went wrong, and the remedy"])


def test_a_mistake_in_the_program_is_not_hidden(cplab, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(results, "sweep", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        cplab("sweep", CI)


# Results ----------------------------------------------------------------------------------------


@pytest.fixture
def grid(small_grid, nothing_shipped, own_cache):
    """A cache with a copy of the results of small_grid."""
    shutil.copytree(small_grid / "results", own_cache / "results")
    return own_cache / "results"


def test_the_table_of_a_sweep_has_points_whose_value_is_the_usual_one(cplab):
    code, out, _ = cplab("sweep --profile ci --recovery 1 --weight-decay 0.001 0.01")
    assert (code, len(out.splitlines())) == (0, 3)  # its head and two points


def test_list_shows_the_results_that_fit(cplab, grid):
    code, out, err = cplab("results list --deficit flip --profile ci")
    assert (code, err) == (0, [])
    head, *rows = [line.split() for line in out.splitlines()]
    assert {row[head.index("deficit")] for row in rows} == {"flip"}
    assert not {"optimizer", "momentum", "arithmetic", "windows"} & {*head}  # the same in each line
    assert {row[0] for row in rows} == {Run("flip", 0, 4, profile="ci", seed=s).key for s in (0, 1)}
    assert "deficit" not in cplab("results list --dataset mnist")[1]


@pytest.mark.parametrize("words", ["results list Pruned", "sweep Pruned --seed 0 1"])
def test_other_kinds_of_results_have_a_line_each(cplab, words):
    code, out, _ = cplab(words)
    keys = [line.split()[0] for line in out.splitlines()]
    assert (code, len(keys)) == (0, len(set(keys)))
    assert results.by_key(keys[0]).key == keys[0]


def test_export_writes_lives_with_windows_and_treatments(cplab, tmp_path, nothing_shipped):
    small = "--profile ci --recovery 1 --deficit blur --length 1"
    assert cplab(f"run {small} --treatments renorm@1 --windows flip@0+1")[0] == 0
    for kind in ("csv", "parquet"):
        assert cplab("results export", tmp_path / f"table.{kind}")[0] == 0
    assert "renorm" in pd.read_parquet(tmp_path / "table.parquet").treatments[0]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_export_writes_one_row_a_run(cplab, grid, tmp_path, kind):
    file = tmp_path / f"table.{kind}"
    code, out, _ = cplab("results export", file, "--deficit blur")
    assert code == 0
    assert str(file) in out
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(file.read_text())))
    else:
        rows = pd.read_parquet(file).to_dict("records")
    assert len(rows) == 8
    names = {field.name for field in fields(Run)}
    assert {"key", "accuracy", "seconds", "commit", "source", *names} <= {*rows[0]}
    for row in rows:
        found = results.by_key(row["key"])
        assert (found.accuracy, found.spec.seed) == (float(row["accuracy"]), int(row["seed"]))


def test_verify_counts_and_finds_every_damage(cplab, grid, nothing_shipped):
    count = len(list(grid.glob("*.json")))
    code, out, err = cplab("results verify")
    assert (code, err) == (0, [])
    assert f"0 shipped and {count} live" in out

    cut, changed, renamed, *_ = sorted(grid.glob("*.json"))
    cut.write_text(cut.read_text()[:200])
    text = changed.read_text()
    changed.write_text(re.sub(r"(accuracy\W+0\.)", r"\g<1>9", text, count=1))
    assert changed.read_text() != text
    renamed.rename(renamed.with_name("0123456789abcdef.json"))
    nothing_shipped.mkdir()
    (nothing_shipped / "broken.parquet").write_bytes(b"PAR1 and no more")
    for _ in range(2):  # it changes nothing, so the second finds the same
        code, out, _ = cplab("results verify")
        assert code == 1
        assert f"{count - 3} live" in out
        assert out.endswith("4 bad\n")
        for name in (cut.name, changed.name, "0123456789abcdef.json", "broken.parquet"):
            assert name in out


def test_what_is_shipped_is_trained_again_to_the_same_bits(cplab, one_thread, nothing_shipped):
    run = Run("blur", length=1, profile="ci", recovery=1)
    cplab("run --deficit blur --length 1", CI)
    code, out, _ = cplab("results ship trial --profile ci --dataset practice")
    assert (code, out) == (0, f"{nothing_shipped / 'trial.parquet'}\n")
    code, out, _ = cplab("results verify --retrain 5 --profile ci --device cpu")
    assert code == 0
    assert "1 shipped and 1 live" in out
    assert "\nequal " in out
    code, out, _ = cplab(f"results retrain {run.key} --device cpu")
    assert (code, out.split()[0]) == (0, "equal")


def test_a_result_that_comes_out_otherwise_is_off(cplab, one_thread, nothing_shipped, own_cache):
    from dataclasses import replace

    run = Run("blur", length=1, profile="ci", recovery=1)
    found = results.run(run)
    (own_cache / "results" / f"{run.key}.json").unlink()
    curve = [*found.curve[:-1], {**found.curve[-1], "test_accuracy": 0.75}]
    results.keep(replace(found, values={"accuracy": 0.75, "curve": curve}))
    code, out, _ = cplab(f"results retrain {run.key} --device cpu")
    assert (code, out.split()[0]) == (1, "off")


def test_merge_takes_in_what_another_cache_holds(cplab, grid, tmp_path, monkeypatch):
    monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / "other"))
    count = len(list(grid.glob("*.json")))
    for new in (count, 0):
        code, out, _ = cplab("results merge", grid)
        assert (code, out.split()[0]) == (0, str(new))
    cut = sorted(grid.glob("*.json"))[0]
    cut.write_text(cut.read_text()[:200])
    code, _, [line] = cplab("results merge", grid)
    assert code == 2
    assert cut.name in line


# The rest ---------------------------------------------------------------------------------------


def test_data_list_says_what_is_at_hand_and_where(cplab, small_mnist):
    code, out, _ = cplab("data list")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert lines["mnist"] == str(small_mnist)
    assert "cplab data fetch cifar10" in lines["cifar10"]
    assert "practice" in lines


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """What would have been opened in the place of this process, in the folder of the test."""
    commands = []
    monkeypatch.setattr(os, "execv", lambda path, words: commands.append((Path.cwd(), words)))
    monkeypatch.chdir(tmp_path)  # also to come back from where the command goes
    return commands


def test_lab_opens_jupyterlab_in_the_clone(cplab, opened, monkeypatch, tmp_path):
    (tmp_path / "clone" / "labs").mkdir(parents=True)
    monkeypatch.setattr(teach, "CLONE", tmp_path / "clone" / "labs")
    for name in ("02_two.ipynb", "01_one.ipynb"):
        (tmp_path / "clone" / "labs" / name).touch()
    for words, name in (("lab", "01_one"), ("lab 02 --no-browser", "02_two")):
        os.chdir(tmp_path)
        assert cplab(words) == (0, "", [])
        folder, command = opened.pop()
        assert folder == tmp_path / "clone"
        assert command[:3] == [sys.executable, "-m", "jupyterlab"]
        assert f"--LabApp.default_url=/lab/tree/labs/{name}.ipynb" in command
        assert ("--no-browser" in command) == ("--no-browser" in words)
    code, out, [line] = cplab("lab 77")
    assert (code, out, opened) == (2, "", [])
    assert "01_one.ipynb, 02_two.ipynb" in line


def test_lab_copies_the_labs_where_there_is_no_clone_and_changes_no_file(
    cplab, opened, monkeypatch, tmp_path
):
    monkeypatch.setattr(teach, "INSTALLED", teach.CLONE)
    monkeypatch.setattr(teach, "CLONE", tmp_path / "nothing")
    names = [path.name for path in teach.labs()]
    mine = tmp_path / "cplab-labs" / names[1]
    mine.parent.mkdir()
    mine.write_text("my own notes")
    code, out, err = cplab("lab")
    assert (code, err) == (0, [])
    assert str(mine.parent) in out
    [(folder, command)] = opened
    assert folder == tmp_path
    assert f"--LabApp.default_url=/lab/tree/cplab-labs/{names[0]}" in command
    assert mine.read_text() == "my own notes"
    for name in names[:1] + names[2:]:
        assert (mine.parent / name).read_bytes() == (teach.INSTALLED / name).read_bytes()
    assert (mine.parent / "pictures" / "explorer.png").exists()  # which a notebook or page shows

    first, others = mine.parent / names[0], len(names) + 1
    first.write_text("changed")
    os.chdir(tmp_path)
    code, out, _ = cplab("lab --copy")
    assert out.startswith(f"0 files copied to {mine.parent}, {others}")
    assert (code, len(opened), first.read_text()) == (0, 1, "changed")


def test_a_folder_that_cannot_be_written_is_named(cplab, opened, tmp_path):
    (tmp_path / "cplab-labs").write_text("a file of this name")
    code, out, [line] = cplab("lab --copy")
    assert (code, out, opened) == (2, "", [])
    assert str(tmp_path / "cplab-labs") in line


ALONE = """import sys
for name in ("torch", "torchvision", "loky", "safetensors", "jupyterlab"):
    sys.modules[name] = None  # as if it were not installed
import cplab
from cplab.cli import main
main(["run", "--deficit", "blur", "--length", "8"])
explorer = cplab.Explorer()
explorer.choose(deficit="flip", onset=4)
print(explorer.words, main(["data", "list"]))
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
    assert "Vertical flip from epoch 4 to 12" in out
    assert "cplab data fetch cifar10" in out


@pytest.mark.parametrize("words", ["", "data", "results", *cli.COMMANDS])
def test_every_command_explains_itself_with_an_example(cplab, words):
    code, out, err = cplab(words, "--help")
    assert (code, err) == (0, [])
    if words in ("", "data", "results"):
        assert cplab(words) == (0, out, [])  # and alone
        return
    examples = [line.split() for line in out.splitlines() if line.startswith("cplab ")]
    assert examples
    for example in examples:
        assert " ".join(example).startswith(f"cplab {words}")
        options = {word for word in example if word.startswith("--")}
        kind = [word for word in example[2:3] if words == "run" and word[0] != "-"]
        shown = cplab(words, *kind, "--help")[1]
        assert all(f"  {option} " in shown for option in options)


def test_every_field_of_a_run_is_an_option_with_its_words(cplab):
    for command in ("run", "sweep", "results list"):
        out = " ".join(cplab(command, "--help")[1].partition("options:")[2].split())
        for field in fields(Run):
            words = re.search(rf"--{field.name.replace('_', '-')} (\w.+?)(?: --|$)", out)[1]
            assert len(words.split()) > 1
            assert ", ".join(field.metadata["names"]) in words
    assert ", ".join(PROFILES) in out


@pytest.mark.skipif(os.name == "nt", reason="needs pipes")
def test_what_reads_along_may_stop_reading(python):
    process = python("import sys; from cplab.cli import main; sys.exit(main(['results', 'list']))")
    process.stdout.close()
    assert process.wait(300) == 0
    assert process.stderr.read() == ""


def test_version_and_quick_start(python):
    heavy = "{'torch', 'numpy', 'pandas', 'pyarrow', 'bokeh', 'tqdm'}"
    process = python(
        "from cplab.cli import main; import sys; main(['--version']); main(['run', '--help'])\n"
        f"print(*{heavy} & {{*sys.modules}})"
    )
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("cplab 0.")
    assert out.endswith("\n\n")
