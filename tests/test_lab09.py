"""What lab 09 alone shows: the bench, weights that grow, a dissociation, barriers, the map."""

from types import SimpleNamespace

import numpy as np
import pytest
from cplab.studies.reopening import bench as lab09

from cplab import quantities
from cplab.results import sweep
from cplab.runs import Run

SMALL = {"profile": "ci", "dataset": "mnist", "recovery": 2}

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread")


def drawn(figure, name):
    """The columns of a figure's data source, as lists."""
    source = figure.select_one({"name": name})
    return {column: [*values] for column, values in source.data.items()}


def test_the_bench_trains_what_is_missing_and_reads_it_against_controls_treated_alike():
    like = Run("blur", length=2, **SMALL)
    treatments = {"renorm": "renorm", "rate": "rate-3", "rate for an epoch": "rate-3@{}+1"}
    bench = lab09.TreatmentBench(like, ("blur", "noise"), treatments)
    assert bench.request == Run("blur", length=2, treatments="renorm@2", **SMALL)
    bench.controls["treatment"].value = "rate-3@{}+1"
    assert bench.request.treatments == (("rate", 3, 2, 1),)
    bench.controls["deficit"].value, bench.controls["treatment"].value = "noise", "rate-3"
    bench.controls["moment"].value = 3
    run = Run("noise", length=2, treatments="rate-3@3", **SMALL)
    assert bench.request == run
    assert "not trained yet with it" in bench.readout.value
    assert not len(bench.sources["accuracy"].data["row"])
    bench.job.start.click()
    assert bench.job.wait(100)
    harm = quantities.harm(run)
    assert harm.mean == quantities.advantage(run.newborn(), run).mean
    assert run.newborn().treatments == (("rate", 3, 1, 1),)
    assert f"{harm} with it" in bench.readout.value
    means = [quantities.accuracy(one).mean for one in lab09.with_controls(run)]
    assert [*bench.sources["accuracy"].data["mean"]] == pytest.approx(means)


def test_norms_at_birth_are_of_the_network_that_is_trained():
    run = Run(**SMALL, model="fc-20", rate=1e-6)  # of grey images; it stays as it was born
    [found] = sweep([run], {"gauges": (0,)}, progress=False)
    norms = found.measured["gauges"][0]["norms"]
    assert lab09.norms_at_birth(run) == pytest.approx(norms, rel=1e-3)


def gauged(norms, **more):
    """A result whose gauges were taken after epochs 0 and 3."""
    said = {0: {"norms": [1.0, 1.0], **more}, 3: {"norms": norms, **more}}
    return SimpleNamespace(measured={"gauges": said})


def test_growth_is_the_norm_as_a_part_of_that_at_birth():
    groups = {"blur": [gauged([2.0, 3.0]), gauged([4.0, 3.0])], "none": []}
    birth = np.array([1.0, 2.0])
    slide = lab09.growth(groups, (0, 3), birth)
    for index, norms in enumerate(([1, 0.5], [3, 1.5])):
        slide.index = index
        assert drawn(slide.drawn, "blur")["mean"] == norms
    assert not np.isfinite(drawn(slide.drawn, "no deficit")["mean"]).any()
