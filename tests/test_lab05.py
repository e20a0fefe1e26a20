"""What lab 05 reads from shipped results, by hand, and the bench, driven as a student."""

import numpy as np
import pytest

import cplab
from cplab.lab.jobs import Throttle
from cplab.labs import lab05
from cplab.labs.lab05_growth import search, unpack_architecture
from cplab.statistics import estimate


def test_what_a_search_left_is_read_of_every_seed():
    kept = [cplab.find(search.spec(seed=s)).values["architectures"]["0.05"] for s in range(10)]
    right = [100 * one["accuracy"] for one in kept]
    assert str(lab05.accuracy_at(search.spec(), 0.05)) == str(estimate(right))
    alive = [unpack_architecture(one["alive"])[0].sum(0) for one in kept]
    counts = lab05.synapses_by_pixel(search.spec(), 0.05)
    assert counts.ravel() == pytest.approx(np.mean(alive, 0))
    ring = counts.sum() - counts[4:24, 4:24].sum()
    assert lab05.border_share(counts) == pytest.approx(100 * ring / counts.sum())


def test_what_nobody_computed_is_drawn_as_that():
    other = search.spec("practice", gamma=1.7, n=100)
    assert not lab05.falls(other)
    assert str(lab05.accuracy_at(other, 0.05)) == "not trained yet"
    fig = lab05.draw_maps({"other": lab05.synapses_by_pixel(other, 0.05)})
    assert "not trained yet" in [words.get_text() for words in fig.axes[0].texts]


def test_a_search_is_drawn_as_it_goes(monkeypatch):
    drawn = []
    monkeypatch.setattr(lab05, "Throttle", lambda draw, seconds: Throttle(draw, seconds=0))
    monkeypatch.setattr(lab05, "draw_search", lambda *of: drawn.append(of) or lab05.show.figure())
    bench = lab05.grow_and_prune("practice", fastest=3.2)
    sliders, job, _ = bench.children
    gamma, peak, _ = sliders.children
    gamma.value, peak.value = 3.2, 70
    spec = drawn[-1][0]
    assert (spec.gamma, spec.n, spec.keep) == (3.2, 25, (0.05,))
    assert drawn[-1][1] == []
    job.start.click()
    assert job.wait(300)
    found = search.compute(**spec.arguments)
    _, rows, counts = drawn[-1]
    assert [row["step"] for row in rows] == found["steps"]
    assert [row["accuracy"] for row in rows] == found["accuracy"]
    kept = unpack_architecture(found["architectures"]["0.05"]["alive"])
    assert (counts.ravel() == kept[0].sum(0)).all()
    assert "at 5 %: " in job.message.value
