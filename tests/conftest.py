"""What every test starts from, an empty cache and no images; what tests share."""

import gc
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from functools import cache, lru_cache
from pathlib import Path

import here
import numpy as np
import platformdirs
import pytest
from browser import chromium, one_browser, used_page  # noqa: F401 (fixtures)
from hypothesis import settings
from hypothesis import strategies as st
from IPython.core.compilerop import CachingCompiler
from person import answers, site  # noqa: F401 (fixtures)

# One thread for all that is trained, in other processes too, as `make test` has it.
os.environ["OMP_NUM_THREADS"] = "1"
# As on a processor without AMX, which adds products of bfloat16 in another order: bits are frozen
# of those. A processor that has less than this is used as it is.
os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_BF16"
# jsonschema, which checks notebooks, compiles a grammar of addresses with this library, for two
# seconds in each process; no notebook has such an address.
sys.modules["rfc3987_syntax"] = None
# However slow the machine is. `make test` prints the seed of the examples; --hypothesis-seed takes
# it again, and a failure says how to repeat it.
settings.register_profile("any machine", settings.get_profile("ci"), derandomize=False)
settings.load_profile("any machine")

ROOT = Path(__file__).parent.parent
# Where real images may lie, read before the tests change the environment.
CACHE = Path(os.environ.get("CPLAB_CACHE") or platformdirs.user_cache_path("cplab")).expanduser()
IMAGES = Path(os.environ.get("CPLAB_DATA") or CACHE / "data").expanduser()
if not IMAGES.is_dir():
    IMAGES = Path("none")  # as $CPLAB_DATA says it
# Look-ups that depend on their arguments alone, on this machine, or on what is shipped or installed
# may outlive a test.
PURE = {"practice", "drawn", "make", "masks", "permutation", "noise_patterns", "upright"}
PURE |= {"digits", "packed_bokeh", "thumbnails", "script", "uncompiled", "with_seed", "commit"}
PURE |= {"open_archive", "read_group", "shipped_of", "shipped_places"}
PURE |= {"read_cached", "usual_columns", "as_path"}


def pytest_configure(config):
    """All workers begin with a cache that is empty, and with the images."""
    if not hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="cplab-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ.update(CPLAB_CACHE=folder, CPLAB_DATA=str(IMAGES))


# Of all files of tests those that take longest, so that several workers end at about the same time.
LONGEST = [
    "student_hour",
    "plays",
    "plays_without_torch",
    "jupyterlab",
    "named",
    "start",
    "pages",
    "workers",
    "researcher_afternoon",
    "page_by_file",  # not while student_hour writes the site
    "engine",
    "executors",
    "teach",
    "cli",
    "nursery_own",
    "reproduction",
    "readme",
    "figures",
    "own",
    "explore",
    "golden",
    "lacking",
    "training",
]


def pytest_collection_modifyitems(items):
    """The longest files come first."""
    order = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_collection():
    """Nothing is looked through for garbage while modules are loaded, which takes a quarter of that
    time."""
    gc.disable()


def pytest_collection_finish():
    """Modules are looked through for garbage no more, which takes 7 % of a worker's time, and all
    else less often, which takes 3 %."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def jobs_here():
    """Jobs are done in the process of the tests, which has loaded torch. Gives what is replaced."""
    from cplab.engine import workers

    replaced = {"Workers": workers.Workers, "warm": workers.warm}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "Workers", here.Here)
        patch.setattr(workers, "warm", here.warm)
        yield replaced


@pytest.fixture(scope="module")
def real_workers(jobs_here):
    """Jobs are done in worker processes after all."""
    from cplab.engine import workers

    with pytest.MonkeyPatch.context() as patch:
        for name, usual in jobs_here.items():
            patch.setattr(workers, name, usual)
        yield
    workers.end_all()


@pytest.fixture(scope="module", autouse=True)
def cache_of_module(tmp_path_factory):
    """An empty cache for a module's fixtures, which are made before the cache of a test: they find
    nothing that another module has trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("CPLAB_DATA", raising=False)
        forget_lookups()
        yield


@pytest.fixture(scope="module", autouse=True)
def functions_of_module():
    """A name without its digest means the latest function of that name that was registered. Those
    that a module's tests register are gone after it; what they import of the package stays."""
    from cplab.specs.own import TABLES

    before = {kind: dict(table) for kind, table in TABLES.items()}
    yield
    for kind, table in TABLES.items():
        table.update(before.get(kind, {}))
        for name in set(table) - set(before.get(kind, {})):
            home = getattr(table[name].apply, "__module__", "")
            if not home.startswith(("cplab.", "reproduction.")):
                del table[name]


TESTS = itertools.count()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """The cache directory of this test, which is not there yet; $CPLAB_DATA is unset."""
    folder = tmp_path_factory.getbasetemp() / f"cache-of-test-{next(TESTS)}"
    monkeypatch.setenv("CPLAB_CACHE", str(folder))
    monkeypatch.delenv("CPLAB_DATA", raising=False)
    forget_lookups()
    yield folder
    forget_lookups()


def forget_lookups():
    """Clear the caches of all loaded modules that depend on the environment."""
    for name in own_modules(len(sys.modules)):
        module = sys.modules.get(name)
        if module is not None:
            for value in caches(module, len(vars(module))):
                value.cache_clear()


@cache
def own_modules(count):
    """The names of the package's modules among so many that are loaded, which are thousands."""
    names = sys.modules.copy()  # threads may import meanwhile
    return [name for name in names if name.startswith(("cplab.", "repro"))]


Cached = type(cache(len))


@cache
def caches(module, names):
    """What a module of so many names looks up once."""
    values = [value for name, value in vars(module).copy().items() if name not in PURE]
    return [value for value in values if isinstance(value, Cached)]  # asks no torch to load


def digits(train=300, test=120, seed=0):
    """Arrays like MNIST's that a small network can learn: a class is a bright row."""
    return {name: array.copy() for name, array in bright_rows(train, test, seed).items()}


@cache
def bright_rows(train, test, seed):
    """These arrays, drawn once."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for split, count in (("train", train), ("test", test)):
        y = np.arange(count, dtype=np.uint8) % 10
        x = rng.integers(0, 100, (count, 28, 28), dtype=np.uint8)
        rows = 2 + 2 * y[:, None] + np.arange(3)  # (count, 3)
        x[np.arange(count)[:, None], rows] += 120
        arrays |= {f"{split}_x": x, f"{split}_y": y}
    return arrays


@pytest.fixture(scope="session")
def invented_digits(tmp_path_factory):
    """A file of 300 + 120 invented digits, which any process loads at once."""
    file = tmp_path_factory.mktemp("digits") / "mnist.npz"
    np.savez(file, **digits(), copy="small")
    return file


@pytest.fixture
def small_mnist(invented_digits, tmp_path, monkeypatch):
    """$CPLAB_DATA with invented digits as mnist.npz."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(invented_digits, folder)
    monkeypatch.setenv("CPLAB_DATA", str(folder))
    return folder / "mnist.npz"


def has_images(dataset):
    """Whether a data set lies among the images of this machine, or needs no file."""
    from cplab.pictures import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPLAB_DATA", str(IMAGES))
        return datasets.is_here(dataset)


def needs_images(dataset):
    """Skip a test, where a data set is missing, with a line that says how to fetch it."""
    if not has_images(dataset):
        pytest.skip(f"{dataset} is not here: `cplab data fetch {dataset}`")


@pytest.fixture
def nothing_shipped(tmp_path, monkeypatch):
    """The package ships no results, and what a test ships stays in its own folder."""
    from cplab.results import store

    monkeypatch.setattr(store, "SHIPPED", tmp_path / "shipped")
    forget_lookups()
    return tmp_path / "shipped"


@pytest.fixture(scope="session")
def elsewhere(invented_digits, tmp_path_factory):
    """A function that calls another with a cache of its own, and returns (result, folder)."""

    def call(work):
        from cplab.results import store

        folder = tmp_path_factory.mktemp("elsewhere")
        shutil.copy(invented_digits, folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CPLAB_CACHE", str(folder))
            patch.setenv("CPLAB_DATA", str(folder))
            patch.setattr(store, "SHIPPED", folder / "shipped")
            forget_lookups()
            result = work()
            forget_lookups()
        return result, folder

    return call


def a_run(*window, **fields):
    """A run of the ci profile on the small digits that recovers for two epochs."""
    from cplab import Run

    return Run(*window, **{"profile": "ci", "dataset": "mnist", "recovery": 2, **fields})


FRAGILE = """def fragile(x, y, *, context):
    if context.seed == 2 and context.epoch == 3:
        raise ValueError("no more")
    return x * 0.5, y
"""


def four_seeds(deficit, profile="tiny"):
    """Runs of four seeds under a deficit of one's own."""
    from cplab import Run

    if profile == "tiny":
        return [Run(deficit, 0, 5, 1, profile="tiny", images=50, seed=seed) for seed in range(4)]
    return [a_run(deficit, 0, 5, recovery=1, seed=seed) for seed in range(4)]


def seeds_kept(specs):
    """The seeds of those that have results."""
    from cplab import find

    return [spec.seed for spec in specs if find(spec)]


def random_images(count, size=8, classes=10):
    """Random images to train and to test on, labels in turn; normalising changes none of them."""
    import torch

    from cplab.pictures.data import Images

    generator = torch.Generator().manual_seed(0)
    x = torch.randint(1, 256, (count, size, size, 3), generator=generator).byte()
    y = torch.arange(count) % classes
    return Images("random", "", x, y, x, y, torch.zeros(3), torch.ones(3))


def bilinear(x, height, width):
    """Images (N, C, H, W) shrunk or enlarged by Pillow."""
    import torch
    from PIL import Image

    planes = []
    for plane in torch.as_tensor(x).flatten(0, 1):
        image = Image.fromarray(plane.numpy().astype(np.float32))
        planes.append(np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)))
    return torch.tensor(np.stack(planes)).unflatten(0, x.shape[:2])


def lively(net):
    """A network with batch norm's numbers as after training, where 0 and 1 would hide mistakes."""
    from torch import nn

    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.2)
    return net


def train_stretch(run, end, contents=(), last=False, **how):
    """Train one run up to a part of its timeline, on the CPU if nothing else is asked for."""
    from cplab.engine.train import train

    [stretch] = train([run], end, [contents], [last], **{"device": "cpu"} | how)
    if isinstance(stretch, Exception):
        raise stretch
    return stretch


def grown(specs, measures=None, **context):
    """What specs give, trained together on the CPU, here unless `context` says else."""
    from cplab.base.errors import Failed
    from cplab.engine.sweep import Context, train_all

    outcomes = {}
    tell = context.pop("tell", lambda spec, row: None)
    context = Context("cpu", **{"workers": 1} | context)
    for spec, training in train_all(
        specs, context, measures, lambda rows: [tell(*row) for row in rows]
    ):
        if not isinstance(training, Failed):
            outcomes[spec] = outcome(training)
    return outcomes


def reported(run, report, **how):
    """The result of a run that is trained on the CPU; `report` is called with (run, row)."""
    from cplab.results import Request, Result

    def hear(request, news):
        for spec, row in news:
            if not isinstance(row, Result):
                report(spec, row)

    [(_, result)] = Request([run], device="cpu", **how).listen(hear).train()
    return result


def outcome(training):
    """Its values and its measurements, without times."""
    from cplab.results.result import without_times

    parts = training if isinstance(training, dict) else vars(training)
    return without_times(parts["values"]), without_times(parts["measured"])


@lru_cache(typed=True)  # 1 is not True
def sampled(*values):
    """One of some values. To make the strategy anew takes longer than to draw from it."""
    return st.sampled_from(values)


@st.composite
def runs(draw, treated=False):
    """Any run of the ci profile with up to 12 epochs, small numbers likely."""
    from cplab import Run

    def one(*values):
        return draw(sampled(*values))

    kinds = "blur", "blur-2", "flip", "permute", "noise", "fresh_noise", "stripes", "blank"
    onset = one(0, 0, 1, 2, 4)
    length = one(0, 1, 2, 4)
    recovery = one(0, 1, 3, 4)
    epochs = onset + length + recovery
    windows = []
    for _ in range(one(0, 0, 1, 2) if epochs else 0):
        first = draw(st.integers(0, epochs - 1))
        windows.append((one(*kinds), first, draw(st.integers(1, epochs - first))))
    treatments = ""
    if treated and epochs:
        kind = one("renorm", "shrink-0.4", "rate-2", "decay-0", "images-0.5", "unaugmented", "held")
        treatments = f"{kind}@{draw(st.integers(0, epochs - 1))}"
    return Run(
        profile="ci",
        deficit=one(*kinds) if length else "none",
        onset=onset,
        length=length,
        recovery=recovery if epochs else 1,
        schedule=one("paper", "fixed", "recovery"),
        dataset=one("practice", "mnist"),
        model=one("allcnn", "allcnn", "allcnn-8", "fc"),
        seed=one(0, 0, 1),
        optimizer=one("sgd", "sgd", "sgd", "adam"),
        rate=one(1, 1, 0.5),
        batch=one(None, None, 100),
        weight_decay=one(None, None, 0.01),
        augment=one(True, True, False),
        windows=tuple(windows),
        treatments=treatments,
    )


@pytest.fixture
def python():
    """A function that starts Python on some code, in a process group of its own; it can be read."""
    options = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    options |= {"text": True, "start_new_session": True}
    with ExitStack() as stack:

        def start(code, *arguments):
            words = [sys.executable, "-c", code, *map(str, arguments)]
            process = stack.enter_context(subprocess.Popen(words, **options))
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def stop_after(monkeypatch):
    """A function that gives an Event which is set at batch number `count`; all parts are saved."""
    from cplab import deficits
    from cplab.engine import sweep

    monkeypatch.setattr(sweep, "STRETCH", -1)

    def make(count):
        stop = threading.Event()
        monkeypatch.setattr(here.Here, "stops", stop)
        seen = []
        apply = deficits.Deficit.__call__

        def counting(*given):
            seen.append(1)
            if len(seen) == count:
                stop.set()
            return apply(*given)

        monkeypatch.setattr(deficits.Deficit, "__call__", counting)
        return stop

    return make


@pytest.fixture
def epochs_trained(monkeypatch):
    """A list that grows by (spec, epoch) when an epoch is begun in this process."""
    from cplab.engine import train

    begun = []
    train_epoch = train.train_epoch

    def spy(trainings, *rest):
        begun.extend((training.run, training.epoch) for training in trainings)
        return train_epoch(trainings, *rest)

    monkeypatch.setattr(train, "train_epoch", spy)
    return begun


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """A folder of own files on the path, whose modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name, module in [*sys.modules.items()]:
        if str(tmp_path) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


def one_line(call, *words):
    """Assert that a call ends in a CplabError of one line with these words, which is returned."""
    from cplab.base.errors import CplabError

    with pytest.raises(CplabError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 600
    assert not [word for word in (*words, ": ") if str(word) not in line], line
    return caught.value


def tell_python(link, message):
    """What a page tells Python by a link, handed over as a kernel does."""
    link.comm.handle_msg(
        {"content": {"data": {"method": "custom", "content": message}}, "buffers": []}
    )


def cell(text, **names):
    """What a notebook cell with this text defines, beside `names`."""
    import torch

    space = {"__name__": "__main__", "torch": torch, **names}
    exec(compile(text, CachingCompiler().cache(text), "exec"), space)
    return space


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """$CPLAB_DATA with random pictures as cifar10.npz."""
    random = np.random.default_rng(0)
    arrays = {"copy": "random"}
    for split, count in (("train", 2000), ("test", 100)):
        arrays[f"{split}_x"] = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        arrays[f"{split}_y"] = np.arange(count, dtype=np.uint8) % 10
    np.savez(tmp_path / "cifar10.npz", **arrays)
    monkeypatch.setenv("CPLAB_DATA", str(tmp_path))
