"""Numbers that no rebuilding of the code may change, frozen in tests/golden.

Each part is a function that gives today's numbers; its test compares them with the frozen file. A
change that has to alter one freezes that part again, in a commit that says which and why:

    python tests/test_golden.py points

With GOLDEN=all in the environment all results and read-outs of the explorer are compared, and not
one of ten. Shipped results are frozen by one digest a file, and one of every tenth row of it: where
one differs, its rows before and after are those of the files in git.
The rows of the report are frozen in reproduction/rows.csv.

Only public functions are called, so that the tests stay as they are while all behind these moves.
"""

import hashlib
import json
import os
import re
import sys
import tempfile
from importlib import import_module

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT  # which sets how processors compute, for this program too

import cplab
from cplab import Run, quantities, results
from cplab.results import store
from cplab.runs import DISTANCES
from reproduction.studies import load_for

GOLDEN = ROOT / "tests" / "golden"
STEP = 1 if os.environ.get("GOLDEN") == "all" else 10
FILES = [path.name for path in sorted(store.SHIPPED.glob("*.parquet"))]


def kept(pairs):
    """A dictionary without times and distances, and without what is missing."""
    out = ("seconds", *DISTANCES)
    return {name: part for name, part in sorted(pairs) if name not in out and part is not None}


def digest(result):
    """Twelve hexadecimal digits of what was computed, without times; every number is a float."""
    outcome = {"values": result.values, "measured": result.measured}
    text = json.dumps(outcome, default=np.ndarray.tolist).replace("NaN", "null")
    value = json.loads(text, parse_int=float, object_pairs_hook=kept)
    text = json.dumps(value, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def frozen(part):
    return json.loads((GOLDEN / f"{part}.json").read_text("utf-8"))


def keys_of(name):
    """The keys of a shipped file, in the order of its rows."""
    return pq.ParquetFile(store.SHIPPED / name).read(["key"])["key"].to_pylist()


def digest_of_rows(keys):
    """One digest of the keys of some rows, and of the results that are read by them."""
    lines = []
    for key in keys:
        result = results.by_key(key)
        assert result.spec.key == key
        lines.append(f"{key} {digest(result)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def shipped():
    """{file: its number of rows, a digest of all of them, one of every tenth}."""
    digests = {}
    for name in FILES:
        keys = keys_of(name)
        parts = {"all": digest_of_rows(keys), "tenth": digest_of_rows(keys[::10])}
        digests[name] = {"rows": len(keys)} | parts
    return digests


def test_every_shipped_file_is_frozen():
    assert list(frozen("shipped")) == FILES


@pytest.mark.parametrize("name", FILES)
def test_the_results_of_a_shipped_file_are_the_same(name):
    """Every tenth row, read by its key; with GOLDEN=all, all. A checksum is of the bytes alone."""
    before = frozen("shipped")[name]
    keys = keys_of(name)
    assert len(keys) == before["rows"]
    assert digest_of_rows(keys[::STEP]) == before["all" if STEP == 1 else "tenth"]


def points(step=1):
    """Of one in `step` of the frozen points: means, half intervals (fractions) and seeds."""
    numbers_of = {}
    for name in list(frozen("points"))[::step]:
        setting, clock, deficit, onset, length = json.loads(name)
        run = Run(deficit, onset, length, **setting)
        clock = clock if run.schedule == "paper" else "stopped"  # of others there is one
        estimates = (
            quantities.accuracy(run),
            quantities.equal_training_loss(run),
            quantities.lost_time(run, clock),
            quantities.harm(run, clock=clock),
            quantities.gain_over_newborn(run),
        )
        numbers = []
        for estimate in estimates:
            numbers += [estimate.mean / 100, estimate.half / 100]
        numbers.append(len(quantities.each_result(run)))
        numbers_of[name] = [float(f"{number:.12g}") for number in numbers]
    return numbers_of


def test_the_explorer_reads_the_same_numbers():
    """But for the order in which they were summed, and for scipy's quantiles, whose ninth digit is
    another one in 1.12."""
    before = frozen("points")
    now = points(STEP)
    expected = np.array([before[name] for name in now], float)
    np.testing.assert_allclose([*now.values()], expected, rtol=1e-8, atol=1e-10)


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
}
TRACED = ("blur", "labels, ResNet")


def experiments():
    """Calls of labs' experiments, each a line of golden/experiments.json, by name."""
    calls = {}
    for name, call in frozen("experiments").items():
        module = import_module(f"cplab.labs.{call['module']}")
        calls[name] = getattr(module, call["function"]).spec(**call["arguments"])
    return calls


def halved(x, y):
    return x / 2, y


TINY = Run("mosaic", 0, 6, 4, profile="tiny", images=50)
BRANCH = Run("blur", 1, 2, profile="ci")
TOGETHER = {name: [life] for name, life in (LIVES | experiments()).items()} | {
    "a stack": [TINY.with_seed(seed) for seed in range(3)],
    "two branches": [BRANCH, BRANCH.replace(length=3)],
    "branches of a stack": [
        TINY.replace(onset=2, length=n, seed=s) for n in (1, 3) for s in (0, 1)
    ],
    "treated for some epochs": [BRANCH.replace(treatments="rate-3@1+2 decay-0@3")],
    "own": [BRANCH],
    "own, a stack": [TINY.with_seed(seed) for seed in (0, 1)],
}


def machine(result):
    return f"{result.device}, {result.precision}, {result.threads} threads, torch {result.torch}"


def trained(name):
    """The machine that trained the runs of a name, and their digests."""
    runs = TOGETHER[name]
    if name.startswith("own"):
        runs = [run.replace(deficit=halved) for run in runs]
    load_for(runs)
    measure = {"trace": "end"} if name in TRACED else ()
    swept = cplab.sweep(runs, measure, fresh=True, device="cpu", workers=1, progress=False)
    return machine(swept[0]), " ".join(digest(result) for result in swept)


def engine():
    """{machine: {life: digest}}, each trained by itself."""
    digests = {}
    for name in TOGETHER:
        place, made = trained(name)
        digests.setdefault(place, {})[name] = made
    return digests


@pytest.mark.parametrize("name", TOGETHER)
def test_a_life_trains_to_the_same_bits(name):
    """One test a life, so that pytest counts those that were compared, and those that were not."""
    place, made = trained(name)
    if name not in frozen("engine").get(place, {}):
        pytest.skip("no bits are frozen of this machine: python tests/test_golden.py engine")
    assert made == frozen("engine")[place][name]


if __name__ == "__main__":
    os.environ["CPLAB_CACHE"] = tempfile.mkdtemp()  # where nothing is trained yet
    for part in sys.argv[1:]:
        made = {"shipped": shipped, "points": points, "engine": engine}[part]()
        made = frozen(part) | made if part == "engine" else made  # other machines stay
        text = json.dumps(made, ensure_ascii=False).replace("NaN", "null")
        text = re.sub(r'(?<=["\]}],) (?=")', "\n", text)  # a line for each name
        (GOLDEN / f"{part}.json").write_text(text + "\n", "utf-8")
