"""Worker processes of cplab: what they tell, how they are stopped, die and end; clean numbers."""

import os
import re
import signal
import threading
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import a_run, cell, grown, one_line, outcome, reported

import cplab
from cplab.base.errors import Cancelled, CplabError
from cplab.engine import sweep, workers
from cplab.labs import lab02 as lab02
from cplab.measure import parse_measures
from cplab.results import Request

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "real_workers")


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    """All tests have the same one, which takes seconds to start."""
    monkeypatch.setenv("CPLAB_WORKERS", "1")


SOME = [a_run("blur", 0, n, seed=seed) for n in (1, 3) for seed in (0, 1)]
LONG = a_run("blur", 900, 1)
STACK = [
    cplab.Run("mosaic", 0, 20, 5, profile="tiny", dataset="mnist", images=50, seed=seed)
    for seed in range(4)
]


def swept(runs, **how):
    results = cplab.sweep(runs, progress=False, fresh=True, device="cpu", **how)
    return {result.spec: outcome(result) for result in results}


@pytest.fixture
def disturbed():
    """Meanwhile two threads draw, patch torch and set defaults."""
    ended = threading.Event()

    def draw():
        while not ended.wait(0.001):
            torch.manual_seed(3)
            np.random.seed(3)
            torch.rand(3)

    def patch():
        with pytest.MonkeyPatch.context() as patch:
            while not ended.wait(0.001):
                patch.setattr(F, "relu", F.gelu)
                patch.setattr(F, "cross_entropy", F.mse_loss)
                torch.set_default_dtype(torch.float64)
        torch.set_default_dtype(torch.float32)

    threads = [threading.Thread(target=work) for work in (draw, patch)]
    for thread in threads:
        thread.start()
    yield
    ended.set()
    for thread in threads:
        thread.join()


def test_whatever_a_notebook_does_to_torch_reaches_no_number(request):
    runs = [*SOME, *STACK]
    clean = grown(runs)
    request.getfixturevalue("disturbed")
    assert swept(runs) == clean


def test_rows_are_told_once_and_as_they_are_made():
    rows = []
    moments = []

    def report(run, row):
        rows.append(row["epoch"])
        moments.append(time.monotonic())

    reported(a_run("blur", 50, 1), report)
    assert rows == [*range(53)]
    assert moments[-1] - moments[0] > 0.1


def test_what_one_lab_measures_is_measured_by_a_worker_that_knows_no_lab():
    result = cplab.run(a_run("blur", 0, 1), measure="correct", device="cpu")
    assert result.final("correct")


PRINTING = """
import os, warnings
def printing(x, y, *, context):
    if context.epoch == 1 and int(context.index[0]) >= 0:
        print("seen", len(x))
        warnings.warn("not so dark")
        open(os.devnull)  # whose warning nobody has asked for
    return x / 2, y
"""


def test_what_a_students_function_prints_is_shown(capsys):
    with pytest.warns(UserWarning, match="not so dark"):
        cplab.run(a_run(cell(PRINTING)["printing"], 0, 2), device="cpu")
    assert "seen 128" in capsys.readouterr().out


class Asked:
    """A request for a run that another thread trains, as a screen's does."""

    def __init__(self, run):
        self.stop = threading.Event()
        self.half_way = threading.Event()
        self.error = None
        self.request = Request([run], device="cpu", stop=self.stop).listen(self.hear)
        self.thread = threading.Thread(target=self.train)
        self.thread.start()

    def hear(self, request, news):
        if request.done > 10:
            self.half_way.set()

    def train(self):
        try:
            list(self.request.train())
        except CplabError as error:
            self.error = error

    def end(self):
        """Wait until it has ended, and raise its error, if it has one."""
        self.thread.join(120)
        assert not self.thread.is_alive()
        if self.error:
            raise self.error


def trained_half_way(run):
    asked = Asked(run)
    assert asked.half_way.wait(120)
    return asked


def test_a_stop_reaches_a_worker_within_a_moment():
    asked = trained_half_way(LONG)
    asked.stop.set()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        asked.end()
    assert time.monotonic() - began < 1
    assert not [worker for worker in workers._workers if not becomes_free(worker)]


def becomes_free(worker):
    until = time.monotonic() + 5
    while not worker.is_free and time.monotonic() < until:
        time.sleep(0.01)
    return worker.is_free


def test_a_pause_changes_no_bit(monkeypatch):
    monkeypatch.setattr(sweep, "STRETCH", 0.1)
    run = a_run("blur", 30, 1)
    asked = trained_half_way(run)
    asked.stop.set()
    with pytest.raises(Cancelled):
        asked.end()
    assert outcome(cplab.run(run, device="cpu")) == grown([run])[run]


def pid(worker):
    return worker.executor.submit(os.getpid).result()


def test_a_worker_that_died_while_it_had_nothing_to_do_is_replaced():
    cplab.run(SOME[0], device="cpu")  # so that there is one
    worker, *_ = workers._workers
    os.kill(pid(worker), signal.SIGKILL)
    while worker.executor._flags.broken is None:  # as long as loky has not noticed
        time.sleep(0.01)
    assert swept(SOME[:1]) == grown(SOME[:1])


DYING = """
import os, pathlib, signal
def dying(x, y, *, context):
    if context.epoch == 30 and not pathlib.Path(MARK).exists():
        pathlib.Path(MARK).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return -x, y
"""


def test_a_dead_worker_is_one_clear_line_that_names_its_run(monkeypatch, tmp_path):
    monkeypatch.setattr(sweep, "STRETCH", 0.1)
    run = a_run(cell(DYING, MARK=str(tmp_path / "mark"))["dying"], 0, 40)
    one_line(lambda: cplab.run(run, device="cpu"), "worker process died", run.call(), "workers=1")
    request = Request([run], device="cpu")
    assert list(request.train())
    assert request.epochs < run.epochs  # it goes on from a checkpoint


def test_two_that_ask_for_the_same_share_one_training(monkeypatch):
    run = a_run("blur", 20, 1, seed=7)
    first, second = Asked(run), Asked(run)
    first.end()
    second.end()
    assert first.request.done + second.request.done == run.epochs
    assert first.request.results[run].seconds == second.request.results[run].seconds


def test_a_worker_works_where_the_notebook_works(tmp_path, monkeypatch):
    (tmp_path / "dimming.py").write_text("def dim(x, y):\n    return x / 4, y\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import dimming

    run = a_run(dimming.dim, 0, 2)
    assert swept([run]) == grown([run])


def test_a_setting_of_the_machine_s_limits_workers(monkeypatch):
    monkeypatch.setenv("CPLAB_WORKERS", "3")
    assert workers.most_workers() == 3


def test_a_setting_that_is_no_number_is_one_line(monkeypatch):
    monkeypatch.setenv("CPLAB_WORKERS", "few")
    one_line(workers.most_workers, "$CPLAB_WORKERS 'few'", "from 1 to 1000")


# A file that is edited between two presses --------------------------------------------------------

HELPER = "def told():\n    return 1\n"
ASKS = """def asks(net, images):
    from beside import told
    return [os.getpid(), told()]
"""


def test_a_worker_loads_a_file_that_is_edited_between_two_presses_anew(own_files):
    file = own_files / "beside.py"
    file.write_text(HELPER)
    asks = cell(ASKS, os=os)["asks"]
    run = a_run("blur", 0, 1)
    first = cplab.run(run, measure=asks, device="cpu").final(asks)
    file.write_text(HELPER.replace("1", "22"))
    second = cplab.run(run, measure=asks, device="cpu").final(asks)
    assert (first[1], second[1]) == (1, 22)
    assert first[0] == second[0] != os.getpid()


# What the notebook's folder has that is called like a module of Python, or like a library

KERNEL = """
import sys
sys.path = [path for path in sys.path if path]
sys.path.insert(3, "")  # after Python's own library, where a notebook has it
import cplab
def shaded(x, y):
    from beside import half
    return x * half, y
@cplab.experiment
def swept(seed: int = 0):
    [result] = cplab.sweep([cplab.Run(seed=seed, recovery=1, profile="ci")])
    return {"accuracy": result.accuracy}
def under(deficit):
    return cplab.run(deficit=deficit, length=1, recovery=1, profile="ci").accuracy
for train in (lambda: under("blur"), lambda: under(shaded), lambda: swept()["accuracy"]):
    try:
        print(train(), flush=True)
    except cplab.CplabError as error:
        print(error, flush=True)
"""


def in_a_folder(python, folder, monkeypatch, names):
    """What three trainings say in a folder with files of these names, which nobody imports."""
    (folder / "beside.py").write_text("half = 0.5\n")
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise SystemError('loaded')\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # for the kernel
    said, errors = python("import os; del os.environ['PYTHONSAFEPATH']" + KERNEL).communicate()
    return said.splitlines(), errors


def test_a_file_called_like_a_module_of_python_s_changes_nothing(python, tmp_path, monkeypatch):
    modules = ("random", "copy", "queue", "signal", "threading", "types", "struct")
    files = [f"{module}.py" for module in modules]
    numbers, errors = in_a_folder(python, tmp_path, monkeypatch, files)
    assert [0 <= float(number) <= 1 for number in numbers] == [True] * 3
    assert errors == ""  # nor does a sweep within an experiment leave a lock behind


@pytest.mark.parametrize("file", ["torch.py", "torch/__init__.py"])
def test_what_is_called_like_a_library_is_named_in_one_line(file, python, tmp_path, monkeypatch):
    said, _ = in_a_folder(python, tmp_path, monkeypatch, [file])
    named = tmp_path / file.removesuffix("/__init__.py")
    assert [line.partition(" has ")[0] for line in said] == [str(named)] * 3
    assert all("rename it" in line for line in said)


# Of which each gives K
WRITTEN = {
    "a method of a class": (
        "class D:\n    k = K\n    @classmethod\n"
        "    def f(cls, net, images):\n        return cls.k\nf = D.f"
    ),
    "a decorator that is a class": (
        "class Same:\n    def __init__(self, g):\n        self.g = g\n"
        "    def __call__(self, *given):\n        return self.g(*given)\n"
        "@Same\ndef f(net, images):\n    return K"
    ),
    "a decorator with an argument": (
        "def times(k):\n    def wrap(g):\n        @wraps(g)\n        def h(*given):\n"
        "            return k * g(*given)\n        return h\n    return wrap\n"
        "@times(K)\ndef f(net, images):\n    return 1"
    ),
    "a method in a partial": (
        "class D:\n    def f(self, k, net, images):\n        return k\nf = partial(D().f, K)"
    ),
    "closures in closures": (
        "def a(k):\n    def b():\n        return lambda net, images: k\n    return b\nf = a(K)()"
    ),
    "numbers of numpy in a dict": (
        "k = {'a': np.float64(K), 'b': np.bool_(True)}\ndef f(net, images):\n    return k['a']"
    ),
    "a set of pairs": (
        "ks = {('a', K), ('b', 0)}\ndef f(net, images):\n    return sum(dict(ks).values())"
    ),
    "a path": "p = Path('K')\ndef f(net, images):\n    return float(str(p))",
    "a pattern": "r = re.compile('K')\ndef f(net, images):\n    return float(r.pattern)",
    "an object with slots": (
        "@dataclass(frozen=True, slots=True)\nclass D:\n    k: float\n"
        "    def __call__(self, net, images):\n        return self.k\nf = D(K)"
    ),
    "two that call each other": (
        "def a(n):\n    return b(n - 1) if n else K\ndef b(n):\n    return a(n)\n"
        "def f(net, images):\n    return a(3)"
    ),
    "a context manager": (
        "@contextmanager\ndef k():\n    yield K\n"
        "def f(net, images):\n    with k() as value:\n        return value"
    ),
    "a deque and a Counter": (
        "d = deque([K]); c = Counter('a')\ndef f(net, images):\n    return d[0] * c['a']"
    ),
    "an attribute of itself": "def f(net, images):\n    return f.k\nf.k = K",
    "a class that is changed later": (
        "class D:\n    k = 1\nD.k = K\ndef f(net, images):\n    return D.k"
    ),
    "a module of torch": (
        "class D(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.k = torch.nn.Parameter(torch.tensor(K))\n"
        "    def forward(self, net, images):\n        return self.k.item()\nf = D()"
    ),
}
TOOLS = """
import re
import numpy as np
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
"""


def test_whatever_is_written_in_a_cell_has_a_new_key_and_a_new_number_once_it_is_edited():
    names = []
    for k in (0.5, 0.5, 0.25):
        measures = []
        for text in WRITTEN.values():
            measures.append(cell(TOOLS + re.sub(r"\bK\b", str(k), text))["f"])
        names.append(parse_measures(measures))
        result = cplab.run(a_run(seed=11), measure=measures, device="cpu")
        numbers = [result.final(measure) for measure in measures]
        assert dict(zip(WRITTEN, numbers, strict=True)) == dict.fromkeys(WRITTEN, k)
    assert [*names[0]] == [*names[1]]
    assert not {*names[0]} & {*names[2]}


def test_an_experiment_may_read_a_run_of_an_own_function():
    base = a_run(cell("def dark(x, y):\n    return x / 3, y\n")["dark"], 0, 1)
    text = (
        "@cplab.experiment\ndef ending(seed: int = 0):\n"
        "    return {'at': cplab.run(base).accuracy}\n"
    )
    assert cell(text, cplab=cplab, base=base)["ending"]() == {"at": cplab.run(base).accuracy}


# A notebook and its workers -----------------------------------------------------------------------

SCREENS = """
import os, sys, time
from cplab import Explorer, Run, lab, quantities
from cplab.engine import workers
from cplab.lab import missing
from cplab.labs import lab05

def trained(press, wait):
    press()
    assert wait(300)

workers.warm()
run = Run("blur", length=1, recovery=1, profile="ci", schedule="fixed")
live = lab.live({"blurred": run})
trained(live.press, live.wait)
offer = missing.offer(quantities.harm(run.replace(length=2)).lacking)
trained(offer.press, offer.wait)
explorer = Explorer("ci", schedule="fixed", onset=1, length=1, recovery=1)
trained(explorer.train, explorer.wait)
lab05.FASTEST = 12.8
search = lab05.grow_and_prune("practice")
search.choose(gamma="12.8 %", peak="55 %")
trained(search.press, search.wait)
print(live.message, offer.message, explorer.words, search.message, sep="|")
print("torch" in sys.modules)
print(workers._workers[0].executor.submit(os.getpid).result(), flush=True)
time.sleep(900)
"""


def test_no_screen_loads_torch_where_it_is_shown_and_workers_end_with_their_notebook(
    python,
):
    process = python(SCREENS)
    live, offer, explorer, search = process.stdout.readline().split("|")
    assert live.startswith("trained in")
    assert offer.startswith("trained in")
    assert "3 seeds" in explorer
    assert search.endswith("% right (one seed)\n")
    assert process.stdout.readline() == "False\n"
    worker = int(process.stdout.readline())
    process.kill()
    process.communicate(timeout=300)
    until = time.monotonic() + 30
    while exists(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not exists(worker)


def exists(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def test_an_idle_worker_ends(monkeypatch):
    """The last test, so that none starts anew."""
    cplab.run(SOME[0], device="cpu")
    monkeypatch.setattr(workers, "IDLE", 0)
    until = time.monotonic() + 30
    while workers._workers and time.monotonic() < until:
        time.sleep(0.05)
    assert not workers._workers
