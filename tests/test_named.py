"""Whatever can be named is trained by a fresh worker, which has loaded nothing for it, and gives
the bits that it gives where it was named."""

import importlib
import pkgutil

import pytest
from conftest import ROOT, grown, outcome

import cplab
import cplab.labs
from cplab import Run, gallery
from cplab.deficits import DEFICITS
from cplab.engine import workers
from cplab.labs import lab04, lab04b, lab05_growth, lab05_retraining
from cplab.measure import MEASUREMENTS
from cplab.models import MODELS
from cplab.runs.treatments import TREATMENTS
from cplab.specs.experiments import FUNCTIONS

for module in pkgutil.iter_modules(cplab.labs.__path__):  # all that a notebook can know
    importlib.import_module(f"cplab.labs.{module.name}")

pytestmark = pytest.mark.usefixtures("nothing_shipped", "real_workers")
PROFILES = ("ci", "tiny")


@pytest.fixture(autouse=True)
def fresh_worker(monkeypatch):
    """One for each test."""
    workers.end_all()
    monkeypatch.setenv("CPLAB_WORKERS", "1")


def packaged(table):
    """The names of a table, but those of students' own."""
    return [name for name, entry in table.items() if not entry.own]


def trained(runs, measures=None):
    """Check that a worker gives the bits that are made here."""
    results = cplab.sweep(runs, measure=measures, progress=False, device="cpu", fresh=True)
    assert {result.spec: outcome(result) for result in results} == grown(runs, measures)
    return results


def short(deficit="none", **fields):
    """A run that is trained in a moment."""
    length = 1 if deficit != "none" else 0
    images = 64 if fields["profile"] == "tiny" else None
    return Run(deficit, 0, length, **{"recovery": 1, "images": images, **fields})


def test_each_deficit():
    assert gallery.grey in [entry.apply for entry in DEFICITS.values()]
    names = packaged(DEFICITS)
    trained([short(name, profile=profile) for profile in PROFILES for name in names])


def test_each_network():
    names = [f"{name}-2" for name in packaged(MODELS)]
    trained([short(profile=profile, model=name) for profile in PROFILES for name in names])


def test_each_measurement():
    """Those of two eyes on a network that has two."""
    of_eyes = {"eye_shares", "each_eye"}
    for model, names in (("fc-4", {*packaged(MEASUREMENTS)} - of_eyes), ("eyes-2", of_eyes)):
        runs = [short(profile=profile, model=model) for profile in PROFILES]
        for result in trained(runs, dict.fromkeys(sorted(names), "end")):
            for name in names:
                assert result.final(name) is not None


def test_each_treatment():
    runs = []
    for name, kind in TREATMENTS.items():
        strength = f"-{max(1, kind.low):g}" if kind.has_strength else ""
        done = {"treatments": f"{name}{strength}@1", "recovery": 2}
        runs += [short(profile=profile, **done) for profile in PROFILES]
    trained(runs)


GROWN = lab05_growth.search.spec("practice", gamma=12.8, n=8)
COMPUTED = {
    "short_run": lab04.short_run.spec(count=20, batches=10),
    "sample": lab04b.sample.spec(draws=2),
    "search": GROWN,
    "retrain": lab05_retraining.retrain.spec(search=GROWN, steps=10),
}


@pytest.mark.usefixtures("photographs")
def test_each_experiment():
    """But those whose tables were computed elsewhere, and what the tests of one lab compute."""
    names = {name for name in packaged(FUNCTIONS) if not FUNCTIONS[name].table}
    of_labs = "".join(path.read_text("utf-8") for path in ROOT.glob("tests/test_lab[0-9]*.py"))
    for name in names - COMPUTED.keys():
        assert f"{name}.spec(" in of_labs
    for spec in COMPUTED.values():
        assert cplab.run(spec, device="cpu").values


# Two kernels --------------------------------------------------------------------------------------

SAID = """
run = cplab.Run("occlude-4", length=1, recovery=1, profile="tiny", images=64)
print(run.key, cplab.run(run, device="cpu").accuracy, flush=True)
"""
KERNELS = {
    "one's own": """
import cplab
from cplab import gallery
@cplab.deficit
def occlude(x, y, rows: int = 6):
    return x * 0, y
""",
    "one's own, and then the gallery's is loaded": """
import cplab
@cplab.deficit
def occlude(x, y, rows: int = 6):
    return x * 0, y
from cplab import gallery
""",
}


def test_kernels_that_make_the_same_key_make_the_same_bits(python, monkeypatch, tmp_path):
    """An own function is what its name stands for, not the gallery's."""
    kernels = []
    for number, text in enumerate(KERNELS.values()):
        monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / str(number)))
        kernels.append(python(text + SAID))
    own, own_first = [kernel.stdout.readline().split() for kernel in kernels]
    assert own == own_first
    theirs = short("occlude-4", profile="tiny")
    [(values, _)] = grown([theirs]).values()
    assert theirs.key != own[0]
    assert values["accuracy"] != float(own[1])
