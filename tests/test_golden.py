"""Numbers that no rebuilding of the code may change, frozen in tests/golden.

Each part is a function that gives today's numbers; its test compares them with the frozen file. A
change that has to alter one freezes that part again, in a commit that says which and why:

    python tests/test_golden.py points

With GOLDEN=all in the environment all read-outs of the explorer are computed, and not some of them.
The rows of the report are frozen in reproduction/rows.csv.

Only public functions are called, so that the tests stay as they are while all behind these moves.
"""

import hashlib
import json
import math
import os
import re
import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import cplab
from cplab import Run, quantities, results
from cplab.errors import Cancelled
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab05b_pruning import prune_kernels, prune_weights, train_split
from cplab.labs.lab09_path import linear_path

GOLDEN = Path(__file__).parent / "golden"
ALL = os.environ.get("GOLDEN") == "all"
EXPERIMENTS = (search, retrain, prune_weights)
EXPERIMENTS += (prune_kernels, train_split, linear_path)
KINDS = {"Run": "Run"} | {function.__name__: function for function in EXPERIMENTS}


def plain(value):
    """Numbers, texts, lists and dictionaries, however a result holds them: no times, and nothing
    that is missing."""
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    if isinstance(value, Mapping):
        items = {str(name): plain(part) for name, part in value.items() if name != "seconds"}
        return {name: items[name] for name in sorted(items) if items[name] is not None}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(part) for part in value]
    if value is None or isinstance(value, str | bool):
        return value
    return None if math.isnan(value) else float(value)


def digest(value):
    """Twelve hexadecimal digits that stand for plain data."""
    text = json.dumps(plain(value), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def outcome(result):
    """What was computed, without how long it took."""
    return {"values": result.values, "measured": result.measured}


def frozen(part):
    return json.loads((GOLDEN / f"{part}.json").read_text("utf-8"))


# Shipped results --------------------------------------------------------------------------------


def shipped():
    """{kind: {key: digest of values and measurements}}."""
    every = {kind: results.every_result(of, "shipped") for kind, of in KINDS.items()}
    return {kind: {r.key: digest(outcome(r)) for r in found} for kind, found in every.items()}


def test_what_was_shipped_is_still_there_and_the_same():
    now = shipped()
    for kind, before in frozen("shipped").items():
        changed = [key for key, found in before.items() if now[kind].get(key) != found]
        assert not changed, f"{len(changed)} of {len(before)} results of {kind}"


def test_a_spec_still_has_the_key_that_it_had():
    for kind, before in frozen("shipped").items():
        for key in list(before)[::25]:
            assert results.find(results.by_key(key).spec).key == key, kind


def compare(now, before):
    """Assert that lists of numbers are equal but for the order in which they were summed."""
    assert now.keys() == before.keys()
    wrong = {}
    for name, numbers in before.items():
        found = [math.nan if number is None else number for number in now[name]]
        wanted = [math.nan if number is None else number for number in numbers]
        if not np.allclose(found, wanted, rtol=1e-9, atol=1e-11, equal_nan=True):
            wrong[name] = (numbers, now[name])
    assert not wrong, f"{len(wrong)}: {dict(list(wrong.items())[:5])}"


# Read-outs of the explorer ------------------------------------------------------------------------


def points(names):
    """{point: mean and half its interval, as fractions, of accuracy, loss, lost time, harm and
    gain, and how many seeds}."""
    found = {}
    for name in names:
        setting, clock, deficit, onset, length = json.loads(name)
        run = Run(deficit, onset, length, **setting)
        clock = clock if run.schedule == "paper" else "stopped"  # of others there is one
        each = (
            quantities.accuracy(run),
            quantities.equal_training_loss(run),
            quantities.lost_time(run, clock),
            quantities.harm(run, clock=clock),
            quantities.gain_over_newborn(run),
        )
        read = [number / 100 for of in each for number in (of.mean, of.half)]
        found[name] = [*read, len(quantities.each_result(run))]
    return {name: [float(f"{n:.12g}") for n in numbers] for name, numbers in found.items()}


def test_the_explorer_reads_the_same_numbers():
    before = frozen("points")
    names = list(before) if ALL else list(before)[::10]
    compare(points(names), {name: before[name] for name in names})


# Bits of the engine -------------------------------------------------------------------------------

LIVES = {
    "blur": Run("blur", 0, 3, profile="ci"),
    "blur later": Run("blur", 2, 2, profile="ci"),
    "newborn": Run(profile="ci"),
    "equal training": Run(onset=4, profile="ci"),
    "flip": Run("flip", 2, 2, profile="ci", schedule="paper"),
    "noise, Adam": Run("noise", 0, 2, profile="ci", schedule="fixed", optimizer="adam"),
    "labels, ResNet": Run("permute", 1, 2, profile="ci", model="resnet18-4"),
    "fresh noise": Run("fresh_noise", 1, 2, profile="ci", augment=False, weight_decay=0.01),
    "stripes": Run("stripes", 0, 2, profile="ci", model="depth2-4", rate=0.5, recovery=4),
    "two windows": Run(profile="ci", windows=(("blur", 1, 1), ("flip", 2, 1)), seed=1),
    "treated": Run("blur", 0, 2, profile="ci", treatments="renorm@2"),
    "two eyes": Run("blank:left", 1, 2, profile="ci", model="eyes-4"),
    "pruned": prune_weights.spec(
        "ci", "fisher", 0.5, "blur", 2, recovery=2, training=3, retraining=1
    ),
    "kernels": prune_kernels.spec("ci"),
}
TRACED = ("blur", "labels, ResNet")


def measures(name):
    return {"trace": "end"} if name in TRACED else ()


def alone(name, folder):
    """A life trained by itself."""
    os.environ["CPLAB_CACHE"] = str(folder / name.replace(" ", "-"))
    return cplab.run(LIVES[name], measure=measures(name), device="cpu")


def machine(result):
    return f"{result.device}, {result.precision}, {result.threads} threads, torch {result.torch}"


def engine(folder=None):
    """{machine: {life: digest}}, with those of other machines that are frozen."""
    import tempfile

    found = frozen("engine") if (GOLDEN / "engine.json").exists() else {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in LIVES:
            result = alone(name, folder or Path(temporary))
            found.setdefault(machine(result), {})[name] = digest(outcome(result))
    return found


@pytest.fixture(scope="module")
def trained_alone(tmp_path_factory):
    """{life: its result}, each trained by itself on one thread."""
    import torch

    threads, folder = torch.get_num_threads(), tmp_path_factory.mktemp("alone")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(folder))
        yield {name: alone(name, folder) for name in LIVES}
    torch.set_num_threads(threads)


def test_a_life_trains_to_the_same_bits(trained_alone):
    before, seen = frozen("engine"), 0
    for name, result in trained_alone.items():
        if machine(result) in before:
            seen += 1
            assert digest(outcome(result)) == before[machine(result)][name], name
    if not seen:
        pytest.skip("no bits are frozen of this machine: python tests/test_golden.py engine")


def test_a_life_that_shares_its_beginning_has_the_same_bits(trained_alone):
    for traced in (True, False):
        names = [name for name in LIVES if (name in TRACED) == traced]
        together = results.sweep(
            [LIVES[name] for name in names], measures(names[0]), progress=False, device="cpu"
        )
        for name, result in zip(names, together, strict=True):
            assert digest(outcome(result)) == digest(outcome(trained_alone[name])), name


@pytest.mark.parametrize("name", ["blur later", "noise, Adam", "treated", "labels, ResNet"])
def test_a_life_that_was_stopped_and_resumed_has_the_same_bits(trained_alone, name):
    stop, epochs = threading.Event(), []

    def report(spec, row):
        epochs.append(row.get("epoch"))
        if len(epochs) == 2:
            stop.set()

    how = {"measure": measures(name), "device": "cpu", "report": report}
    with pytest.raises(Cancelled):
        cplab.run(LIVES[name], stop=stop, **how)
    result = cplab.run(LIVES[name], **how)
    assert digest(outcome(result)) == digest(outcome(trained_alone[name]))


if __name__ == "__main__":
    same = partial(points, list(frozen("points")))  # as before, whatever was shipped since
    for part in sys.argv[1:]:
        made = {"shipped": shipped, "points": same, "engine": engine}[part]()
        text = json.dumps(made, ensure_ascii=False).replace("NaN", "null")
        text = re.sub(r'(?<=["\]}],) (?=")', "\n", text)  # a line for each name
        (GOLDEN / f"{part}.json").write_text(text + "\n", "utf-8")
