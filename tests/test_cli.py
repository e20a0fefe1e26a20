"""The command line: what it prints where, what it refuses and how, and what a signal costs."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from cplab import bench, cli, devices, records
from cplab.experiment import PROFILES, Run

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


def told(lines):
    """What standard error says beside the progress bar."""
    return [line for line in lines if line.strip() and not re.search(r"\d/\d+ \[", line)]


def results(record):
    """What training gave, without how long it took."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in record["curve"]]


# One run ----------------------------------------------------------------------------------------


def test_run_prints_one_json_object_and_the_second_call_answers_from_the_record(cplab, one_thread):
    words = "run --deficit blur --onset 1 --length 1 --seed 3 --json"
    code, out, _ = cplab(words, CI)
    assert code == 0
    first = json.loads(out)
    assert out == json.dumps(first) + "\n"
    run = Run("blur", 1, 1, 1, "ci", seed=3)
    assert first.items() >= {
        "key": run.key, "cached": False, "dataset": "practice", "profile": "ci", "seed": 3,
        "deficit": "blur", "onset": 1, "length": 1, "recovery": 1, "schedule": "recovery",
        "model": "allcnn-4", "source": "live", "threads": 1, "copy": "practice",
    }.items()  # fmt: skip
    assert {"device", "precision", "torch", "commit"} <= first.keys()
    assert 0 <= first["accuracy"] <= 1
    assert first["accuracy"] == first["curve"][-1]["test_accuracy"]
    assert [row["epoch"] for row in first["curve"]] == [0, 1, 2]
    assert [row["phase"] for row in first["curve"]] == ["clear", "deficit", "recovery"]
    assert {"lr", "train_loss", "test_accuracy"} <= first["curve"][0].keys()
    assert first["seconds"] == sum(row["seconds"] for row in first["curve"]) > 0

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
    assert results(again) == results(first)
    assert again["seconds"] != first["seconds"]


def test_without_json_a_few_lines_say_it(cplab, one_thread):
    for origin in ("trained in", "live record"):
        _, out, _ = cplab("run --seed 1", CI)
        record = records.find(Run(profile="ci", recovery=1, seed=1))
        assert f"accuracy {record.accuracy:.4f}" in out
        assert origin in out
        assert record.key in out
        assert len(out.splitlines()) <= 4
        assert record.run.call() in out


def test_a_traced_run_says_its_trace_and_what_that_cost(cplab, one_thread):
    words = "run --onset 1 --trace 1 --optimizer adam"
    for _ in range(2):  # trained, and looked up
        code, out, _ = cplab(words, CI)
        run = Run(onset=1, recovery=1, profile="ci", trace="1", optimizer="adam")
        record = records.find(run)
        row = record.curve[1]
        cost = row["trace_seconds"] + record.final["seconds"]
        assert code == 0
        [line] = [line for line in out.splitlines() if "measured" in line]
        assert f"trace {sum(row['trace']):.4g} after epoch 1 " in line
        assert f"{cost:.1f} s, beside {record.seconds:.1f} s of training" in line
        assert run.call() in out
        assert eval(run.call(), {"cplab": SimpleNamespace(run=Run)}) == run


def test_a_traced_run_without_a_trace_on_the_way_says_so(cplab, one_thread):
    code, out, _ = cplab("run --trace 99", CI)
    assert code == 0
    assert "no trace on the way" in out


# Sweeps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("--onset 0 2 4", "--onset 0 --onset 2 --onset 4"),
        ("--onset 0 -1 --json", "--onset 0 --onset -1 --json"),
        ("--seed 0 1 --fresh x --length 2 3", "--seed 0 --seed 1 --fresh x --length 2 --length 3"),
        ("--workers 2 3", "--workers 2 3"),
        ("--optimizer sgd adam", "--optimizer sgd --optimizer adam"),
        ("--trace 0 4", "--trace 0 4"),  # takes one value, so that Typer refuses the second
        ("--profile ci course", "--profile ci course"),
        ("--onset", "--onset"),
    ],
)
def test_lists_after_one_option(typed, taken):
    assert cli.spread(["sweep", *typed.split()]) == ["sweep", *taken.split()]
    assert cli.spread(["run", *typed.split()]) == ["run", *typed.split()]


def test_a_sweep_is_the_product_of_its_lists_and_trains_what_is_double_once(cplab, one_thread):
    words = "sweep --deficit blur flip --onset 0 1 --length 0 1 --seed 0 1 --workers 1"
    code, out, err = cplab(words, CI, "--json")
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    # without length no deficit is blur or flip: 2 × 2 with one, 2 without, 2 seeds each
    assert len(found) == len({record["key"] for record in found}) == 12
    assert {(r["deficit"], r["onset"], r["length"], r["seed"]) for r in found} == {
        (deficit, onset, length, seed)
        for deficit, length in (("blur", 1), ("flip", 1), ("none", 0))
        for onset in (0, 1)
        for seed in (0, 1)
    }
    assert "12 of 12 runs" in err[-1]
    assert "100%" in err[-1]
    assert not any(record["cached"] for record in found)

    code, out, err = cplab(words, CI, "--json")
    assert (code, err) == (0, [])
    assert [json.loads(line) for line in out.splitlines()] == [{**r, "cached": True} for r in found]


def test_the_table_of_a_sweep_has_means_over_seeds_and_controls(cplab, one_thread):
    words = "sweep --deficit blur --onset 1 --length 2 --seed 0 1 --controls --workers 1"
    code, out, _ = cplab(words, CI)
    head, *rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert head == ["deficit", "onset", "length", "recovery", "schedule", "count", "mean", "std"]
    assert [row[:4] for row in rows] == [
        ["blur", "1", "2", "1"],
        ["none", "3", "0", "1"],
        ["none", "0", "0", "1"],
    ]
    accuracies = [records.find(Run("blur", 1, 2, 1, "ci", seed=s)).accuracy for s in (0, 1)]
    assert rows[0][5:7] == ["2", f"{sum(accuracies) / 2:.4f}"]


def test_a_sweep_of_optimizers_has_a_line_for_each(cplab, one_thread):
    words = "sweep --optimizer sgd adam --seed 0 1 --workers 1"
    code, out, _ = cplab(words, CI)
    head, *rows = [line.split() for line in out.splitlines()]
    assert (code, head[5], len(rows)) == (0, "optimizer", 2)
    for name, row in zip(("sgd", "adam"), rows, strict=True):
        found = [
            records.find(Run(recovery=1, profile="ci", optimizer=name, seed=s)) for s in (0, 1)
        ]
        assert row[5:8] == [name, "2", f"{(found[0].accuracy + found[1].accuracy) / 2:.4f}"]
    assert "optimizer" in cplab("records list")[1]


SWEEP = (
    "sweep --deficit blur --onset 0 4 --length 4 --recovery 24 --seed 0 1 "
    "--profile ci --dataset mnist --json --workers"
)


@pytest.fixture(scope="module")
def undisturbed():
    """What the sweep gave where nothing disturbed it, once it ran."""
    return {}


# Tests that run in the background ignore Ctrl-C, and what they start would inherit that.
FOREGROUND = """
import signal, sys
from cplab.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


@pytest.fixture
def swept(small_mnist):
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
    cplab, one_thread, swept, own_cache, tmp_path, monkeypatch, undisturbed, sent
):
    wait_for(lambda: list((own_cache / "records").glob("*.json")), swept)
    if sent == signal.SIGINT:
        os.killpg(swept.pid, sent)  # as a terminal does
    else:
        swept.kill()
    # ends when nobody holds the other end any more: no worker process is left behind
    out, err = swept.communicate(timeout=300)
    assert out == ""
    assert "Traceback" not in err
    if sent == signal.SIGINT:
        assert swept.returncode == 130
        assert err.splitlines()[-1] == "stopped: the same command goes on from here"
    done = {path.stem for path in (own_cache / "records").glob("*.json")}
    assert 1 <= len(done) < 4

    code, out, _ = cplab(SWEEP, 1)
    resumed = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {record["key"] for record in resumed if record["cached"]} == done
    if not undisturbed:
        monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / "other"))
        _, out, _ = cplab(SWEEP, 1)
        undisturbed |= {r["key"]: results(r) for r in map(json.loads, out.splitlines())}
    assert {record["key"]: results(record) for record in resumed} == undisturbed


CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children")


@pytest.mark.skipif(not CHILDREN.exists(), reason="needs Linux")
def test_ctrl_c_while_workers_start_is_one_line_as_well(swept):
    def workers():
        children = Path(f"/proc/{swept.pid}/task/{swept.pid}/children").read_text().split()
        commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
        return any(b"spawn_main" in command for command in commands)

    wait_for(workers, swept)
    time.sleep(0.2)  # they import torch now
    os.killpg(swept.pid, signal.SIGINT)
    out, err = swept.communicate(timeout=300)
    assert (swept.returncode, out) == (130, "")
    assert told(err.replace("\r", "\n").splitlines()) == [
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
    "run --trace always": "always none every 0,4,9",
    "run --trace 0,x": "0,x every",
    "sweep --trace 0 4": "unexpected argument 4",
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
    "run --frsh": "--frsh --fresh",
    "run now": "now extra",
    "rnu": "rnu",
    "sweep --onset 0 2.5": "onset 2.5 whole",
    "sweep --onset 0 -1": "onset -1 whole",
    "sweep --onset 0,2": "onset 0,2 whole",
    "sweep --deficit blur none --length 4": "length 4 none",
    "sweep --workers 0 --profile ci": "workers 0 1",
    "sweep --workers two --profile ci": "workers two whole",
    "sweep --controls --recovery 0 --onset 1": "0 epochs",
    "data fetch": "name",
    "data fetch practice": "practice cifar10 mnist",
    "records list --deficit blurr": "blurr blur",
    "records list --profile big": "big course",
    "records export": "file",
    "records export table.xls": ".xls .csv .parquet",
    "records export /dev/null/table.csv": "/dev/null/table.csv another",
    "records verify --retrain x": "retrain x whole",
    "records verify --retrain 1": "shipped",
    "records ship ../x": "../x plain",
    "records ship x": "x train",
    "lab nonsense": "nonsense",
    "bench --device tpu": "tpu cpu",
}


@pytest.mark.parametrize("typed", BAD)
def test_bad_input_is_refused_in_one_line(cplab, nothing_shipped, typed):
    code, out, err = cplab(typed)
    assert (code, out.count("Traceback")) == (2, 0)
    [line] = err
    assert line.startswith("error: ")
    for word in BAD[typed].split():
        assert word.lower() in line.lower()  # old versions of Typer write FILE for file
    if "verify" not in typed:
        assert out == ""


def test_python_and_the_command_refuse_in_the_same_words(cplab):
    _, _, [line] = cplab("run --deficit blur --schedule cosine")
    with pytest.raises(cli.CplabError) as refused:
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
    [line] = told(err)
    assert line.startswith("warning: the record could not be kept")
    assert "$CPLAB_CACHE" in line

    words = "sweep --deficit blur --onset 1 2 --length 1 --workers 1 --json"  # two branches
    code, out, err = cplab(words, CI)
    assert (code, len(out.splitlines()), len(told(err))) == (0, 2, 1)


@pytest.mark.parametrize("kind", ["Diverged", "Exhausted"])
def test_what_goes_wrong_in_training_is_one_line(cplab, monkeypatch, kind):
    from cplab import train

    kinds = {"Diverged": train.Diverged, "Exhausted": devices.Exhausted}

    def fail(*_, **__):
        raise kinds[kind]("what went wrong,\nand the remedy")

    monkeypatch.setattr(records, "sweep", fail)
    assert cplab("sweep", CI) == (1, "", ["error: what went wrong, and the remedy"])


def test_a_mistake_in_the_program_is_not_hidden(cplab, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(records, "sweep", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        cplab("sweep", CI)


# Records ----------------------------------------------------------------------------------------


@pytest.fixture
def grid(small_grid, nothing_shipped, own_cache):
    """A cache with a copy of the records of small_grid."""
    import shutil

    shutil.copytree(small_grid / "records", own_cache / "records")
    return own_cache / "records"


def test_list_shows_the_records_that_fit(cplab, grid):
    code, out, err = cplab("records list --deficit flip --profile ci")
    assert (code, err) == (0, [])
    head, *rows = [line.split() for line in out.splitlines()]
    assert {row[head.index("deficit")] for row in rows} == {"flip"}
    assert not {"optimizer", "trace", "momentum", "arithmetic"} & {*head}  # the same in each line
    assert {row[0] for row in rows} == {Run("flip", 0, 4, profile="ci", seed=s).key for s in (0, 1)}
    assert cplab("records list --dataset mnist")[1] == "no records\n"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_export_writes_one_row_a_record(cplab, grid, tmp_path, kind):
    import pandas as pd

    file = tmp_path / f"table.{kind}"
    code, out, _ = cplab("records export", file, "--deficit blur")
    assert code == 0
    assert str(file) in out
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(file.read_text())))
    else:
        rows = pd.read_parquet(file).to_dict("records")
    assert len(rows) == 8
    assert {*rows[0]} == {
        "key", "profile", "dataset", "model", "deficit", "onset", "length", "recovery", "schedule",
        "seed", "accuracy", "seconds", "copy", "device", "precision", "threads", "torch", "commit",
        "source", "optimizer", "trace", "momentum", "arithmetic",
    }  # fmt: skip
    for row in rows:
        fields = {name: row[name] for name in records.RUN_FIELDS}
        record = records.find(Run(**fields))
        assert (record.key, record.accuracy) == (row["key"], float(row["accuracy"]))


def test_verify_counts_and_finds_every_damage(cplab, grid, nothing_shipped):
    count = len(list(grid.glob("*.json")))
    good = f"0 shipped and {count} live records are good\n0 bad\n"
    assert cplab("records verify") == (0, good, [])

    cut, changed, renamed, *_ = sorted(grid.glob("*.json"))
    cut.write_text(cut.read_text()[:200])
    text = changed.read_text()
    changed.write_text(text.replace('"accuracy": 0.', '"accuracy": 0.9', 1))
    assert changed.read_text() != text
    renamed.rename(renamed.with_name("0123456789abcdef.json"))
    for _ in range(2):  # it changes nothing, so the second finds the same
        code, out, _ = cplab("records verify")
        assert code == 1
        assert f"{count - 3} live records are good" in out
        assert out.endswith("3 bad\n")
        for name in (cut.name, changed.name, "0123456789abcdef.json"):
            assert name in out

    study = grid.parent / "studies" / "0123456789abcdef.json"
    study.parent.mkdir()
    study.write_text("{}")
    code, out, _ = cplab("records verify")
    assert code == 1
    assert "live study 0123456789abcdef is damaged" in out
    assert out.endswith("4 bad\n")

    nothing_shipped.mkdir()
    (nothing_shipped / "broken.parquet").write_bytes(b"PAR1 and no more")
    code, out, _ = cplab("records verify")
    assert code == 1
    assert "shipped broken.parquet" in out


def test_what_is_shipped_is_retrained_to_the_same_bits(
    cplab, one_thread, nothing_shipped, monkeypatch
):
    cplab("run --deficit blur --length 1", CI)
    code, out, _ = cplab("records ship trial --profile ci --dataset practice")
    assert (code, out) == (0, f"{nothing_shipped / 'trial.parquet'}\n")
    verify = "records verify --retrain 5 --profile ci --device cpu"
    code, out, _ = cplab(verify)
    assert code == 0
    assert "1 shipped and 1 live records are good\nequal " in out

    from cplab import train

    monkeypatch.setattr(train.checkpoints, "SECONDS", 1e9)
    right = train.evaluate
    monkeypatch.setattr(train, "evaluate", lambda *given: right(*given) + 1 / 256)
    code, out, _ = cplab(verify)
    assert (code, out.splitlines()[-1]) == (1, "1 bad")
    assert "\noff " in out
    # under other conditions a small difference is within the spread, a large one is not
    monkeypatch.setattr(devices, "machine", lambda _: "another")
    code, out, _ = cplab(verify)
    assert code == 0
    assert "\nnear " in out
    monkeypatch.setattr(train, "evaluate", lambda *given: right(*given) + 0.2)
    assert cplab(verify)[0] == 1


# The rest ---------------------------------------------------------------------------------------


def test_data_list_says_what_is_at_hand_and_where(cplab, small_mnist, monkeypatch, tmp_path):
    from cplab import data

    monkeypatch.setattr(data, "DEBIAN", tmp_path / "none")
    code, out, _ = cplab("data list")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert lines["mnist"] == str(small_mnist)
    assert "cplab data fetch cifar10" in lines["cifar10"]
    assert lines["practice"] == "made on the spot"


def test_lab_opens_jupyterlab_in_the_clone(cplab, monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "cplab" / "cli.py"))
    monkeypatch.setattr(os, "execv", lambda path, words: started.append((path, words)))
    code, out, [line] = cplab("lab")
    assert (code, out, started) == (2, "", [])
    assert f"no labs in {tmp_path / 'labs'}" in line

    (tmp_path / "labs").mkdir()
    for name in ("02_two.ipynb", "01_one.ipynb"):
        (tmp_path / "labs" / name).touch()
    monkeypatch.chdir(tmp_path)  # also to come back from where the command goes
    for words, name in (("lab", "01_one"), ("lab 02", "02_two")):
        assert cplab(words)[0] == 0
        path, command = started.pop()
        assert path == command[0] == sys.executable
        assert command[1:3] == ["-m", "jupyterlab"]
        assert f"--LabApp.default_url=/lab/tree/labs/{name}.ipynb" in command


COMMANDS = ["", "run", "sweep", "bench", "lab", "data", "data list", "data fetch", "records"]
COMMANDS += ["records list", "records export", "records verify", "records ship", "reproduction"]
COMMANDS += ["campaign", *(f"campaign {name}" for name in ("list", "next", "status", "merge"))]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_explains_itself_with_an_example(cplab, words):
    code, out, err = cplab(words, "--help")
    assert (code, err) == (0, [])
    if words in ("", "data", "records", "campaign"):
        assert cplab(words) == (0, out, [])  # and alone
        return
    [example] = [line.split() for line in out.splitlines() if line.startswith("  cplab ")]
    assert " ".join(example).startswith(f"cplab {words}")
    options = {word for word in example if word.startswith("--")}
    assert all(f"  {option} " in out for option in options)


def test_help_names_every_profile(cplab):
    assert ", ".join(PROFILES) in cplab("run", "--help")[1]


def test_version_and_quick_start(python):
    heavy = "{'torch', 'numpy', 'pandas', 'pyarrow', 'bokeh', 'tqdm'}"
    process = python(
        f"from cplab.cli import main; import sys; main(['--version']); main(['run', '--help'])\n"
        f"print(*{heavy} & {{*sys.modules}})"
    )
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("cplab 0.")
    assert out.endswith("\n\n")


def test_a_benchmark_compares_speeds(cplab, monkeypatch):
    rate = bench.result("a", "images/s", [(9, 10), (30, 10), (12, 10)], "ratio >= 1", "x")
    time_ = bench.result("b", "ms", [(5, 10), (2, 10), (1, 10)], "value < 3", "y")
    assert (rate["value"], rate["baseline"], rate["ratio"]) == (12, 10, 1.2)
    assert (time_["value"], time_["baseline"], time_["ratio"]) == (2, 10, 5)
    found = {"engine_vs_step": rate, "grid_vs_plain": time_, "importing": time_}
    found |= {"fisher_vs_vmap": time_, "fisher_vs_library": time_, "pruning_batched": time_}
    for name, row in found.items():
        monkeypatch.setattr(bench, name, lambda *_, row=row: row)
    monkeypatch.setattr(bench, "lookups", lambda: [time_])
    monkeypatch.setattr(bench, "paper_size", lambda *_: [time_])
    code, out, _ = cplab("bench --json --device cpu")
    assert code == 0
    measured = json.loads(out)
    assert measured["results"] == [rate, *[time_] * 7]
    assert measured["dataset"] == "practice"
    assert "practice images" in measured["note"]
    _, out, _ = cplab("bench --device cpu")
    assert "ratio >= 1" in out
    assert "1.2" in out
