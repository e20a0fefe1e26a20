"""What labs 05 and 05b read from shipped results, by hand, and the bench, driven as a student."""

import numpy as np
import pytest
from labs_by_hand import text

import cplab
from cplab.lab.jobs import Throttle
from cplab.labs import lab05, lab05b
from cplab.labs.lab05_architectures import unpack_architecture
from cplab.labs.lab05_growth import search
from cplab.labs.lab05b_pruning import prune_kernels, train_split
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


def test_splits_are_compared_with_the_old_ratio_seed_by_seed():
    gains = []
    for seed in range(6):
        first, second = lab05b.kernel_split(prune_kernels.spec(seed=seed), 25)
        pair = [train_split.spec("course", *each, seed) for each in ((first, second), (5, 20))]
        found, old = (cplab.find(spec).values["accuracy"] for spec in pair)
        gains.append(100 * (found - old))
    assert str(lab05b.above_ratio(prune_kernels.spec(), 25)) == str(estimate(gains))


@pytest.mark.parametrize(
    ("rows", "answer"),
    [
        ([[3, 4, 5]], 2),
        ([[3, 4, 5], [-1, 0, 1]], 1),
        ([[-1, 0, 1]], 0),
        ([[-1, 0, 1], [-3, -4, -5]], -1),
        ([[1.0], []], None),
    ],
)
def test_signs_are_counted(rows, answer):
    assert lab05b.tally(map(estimate, rows)) == answer


def test_a_search_is_drawn_as_it_goes(monkeypatch):
    drawn = []
    monkeypatch.setattr(lab05, "Throttle", lambda draw, seconds: Throttle(draw, seconds=0))
    monkeypatch.setattr(lab05, "draw_search", lambda *of: drawn.append(of) or lab05.show.figure())
    bench = lab05.grow_and_prune("practice", fastest=3.2)
    bench.sliders["gamma"].value = 3.2
    bench.sliders["peak"].value = 70
    spec = drawn[-1][0]
    assert (spec.gamma, spec.n, spec.keep) == (3.2, 25, (0.05,))
    assert drawn[-1][1] == []
    bench.job.start.click()
    assert bench.job.wait(60)
    found = search.compute(**spec.arguments)
    _, rows, counts = drawn[-1]
    assert [row["step"] for row in rows] == found["steps"]
    assert [row["accuracy"] for row in rows] == found["accuracy"]
    kept = unpack_architecture(found["architectures"]["0.05"]["alive"])
    assert (counts.ravel() == kept[0].sum(0)).all()
    assert text(bench.job.message).startswith("at 5 %: ")
