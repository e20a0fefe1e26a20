"""What every test starts from: an empty cache, no images but the practice set, nothing looked up
by the test before. What tests share is here as fixtures."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import platformdirs
import pytest

# Threads of torch that have nothing to do would keep a core busy, which tests beside them need.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Where real images may lie, read before the tests change the environment.
FOLDERS = [Path(os.environ["CPLAB_DATA"]).expanduser()] if os.environ.get("CPLAB_DATA") else []
FOLDERS.append(
    Path(os.environ.get("CPLAB_CACHE") or platformdirs.user_cache_path("cplab")).expanduser()
    / "data"
)
# Look-ups that depend on their arguments alone may outlive a test.
PURE = {"practice", "permutation", "noise", "commit"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """The empty cache directory of this test; $CPLAB_DATA is unset."""
    monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CPLAB_DATA", raising=False)
    forget_lookups()
    yield tmp_path / "cache"
    forget_lookups()


def forget_lookups():
    """Clear the caches of all loaded modules that depend on the environment."""
    for name, module in list(sys.modules.items()):
        if name.startswith("cplab."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and value.__name__ not in PURE:
                    value.cache_clear()


@pytest.fixture
def real_data(monkeypatch):
    """A function that puts the real images of a set in reach, or skips the test."""

    def reach(dataset):
        for folder in FOLDERS:
            if (folder / f"{dataset}.npz").exists():
                monkeypatch.setenv("CPLAB_DATA", str(folder))
                return
        pytest.skip(f"no {dataset} images: set $CPLAB_DATA or run `cplab data fetch {dataset}`")

    return reach


def digits(train=300, test=120, seed=0):
    """Arrays like MNIST's that a small network can learn: a class is a bright row."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for split, count in (("train", train), ("test", test)):
        y = np.arange(count, dtype=np.uint8) % 10
        x = rng.integers(0, 100, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(x, y, strict=True):
            image[2 + 2 * label : 5 + 2 * label] += 120
        arrays |= {f"{split}_x": x, f"{split}_y": y}
    return arrays


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """$CPLAB_DATA with 300 + 120 invented digits as mnist.npz, which any process loads at once."""
    folder = tmp_path / "data"
    folder.mkdir()
    np.savez(folder / "mnist.npz", **digits(), copy="small")
    monkeypatch.setenv("CPLAB_DATA", str(folder))
    return folder / "mnist.npz"


@pytest.fixture
def nothing_shipped(tmp_path, monkeypatch):
    """The package ships no records, and what a test ships stays in its own folder."""
    from cplab import records

    monkeypatch.setattr(records, "SHIPPED", tmp_path / "shipped")
    return tmp_path / "shipped"


@pytest.fixture
def one_thread():
    """Training on one thread, which equal bits need."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_grid(tmp_path_factory):
    """A cache directory with records of the ci profile, two seeds each, and all their controls:
    blur at onsets 0 and 2 with lengths 2 and 4, flip at onset 0 with length 4."""
    import torch

    from cplab import Run, records

    folder, threads = tmp_path_factory.mktemp("grid"), torch.get_num_threads()
    points = [("blur", 0, 2), ("blur", 0, 4), ("blur", 2, 2), ("blur", 2, 4), ("flip", 0, 4)]
    runs = [Run(*point, profile="ci", seed=seed) for point in points for seed in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(folder))
        patch.setattr(records, "SHIPPED", folder / "shipped")
        forget_lookups()
        torch.set_num_threads(1)
        controls = [control for run in runs for control in (run.equal_training(), run.newborn())]
        records.sweep([*runs, *controls], progress=False, workers=1)
        torch.set_num_threads(threads)
        forget_lookups()
    return folder


def random_run(rng):
    """Any run of the ci profile with up to 12 epochs, small numbers likely."""
    from cplab import Run
    from cplab.experiment import DEFICITS

    fields = {
        "profile": "ci",
        "deficit": rng.choice([*DEFICITS, "blur-2"]),
        "onset": rng.choice([0, 0, 1, 2, 4]),
        "length": rng.choice([0, 1, 2, 4]),
        "recovery": rng.choice([0, 1, 3, 4]),
        "schedule": rng.choice(["paper", "fixed", "recovery"]),
        "dataset": rng.choice(["practice", "mnist"]),
        "model": rng.choice(["allcnn", "allcnn", "allcnn-8", "fc"]),
        "seed": rng.choice([0, 0, 1]),
        "optimizer": rng.choice(["sgd", "sgd", "sgd", "adam"]),
        "trace": rng.choice(["none", "none", "none", "every", "0,2"]),
    }
    if fields["deficit"] == "none":
        fields["length"] = 0
    if fields["onset"] + fields["length"] + fields["recovery"] == 0:
        fields["recovery"] = 1
    return Run(**fields)


@pytest.fixture
def random_runs():
    """2,000 runs, the same in every test, some of them twice."""
    rng = random.Random(1)
    return [random_run(rng) for _ in range(2000)]


@pytest.fixture
def python():
    """A function that starts Python on some code; its standard output is to be read."""
    started = []

    def start(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def stop_after(monkeypatch):
    """A function that gives an Event which is set as batch number `count` is about to be used."""
    import threading

    from cplab import deficits

    def make(count):
        stop, seen, see = threading.Event(), [], deficits.see

        def counting(*arguments):
            seen.append(1)
            if len(seen) == count:
                stop.set()
            return see(*arguments)

        monkeypatch.setattr(deficits, "see", counting)
        return stop

    return make
