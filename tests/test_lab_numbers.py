"""What labs 01 to 05 and 09 compute, against single results, closed forms and printed data."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit

import cplab
from cplab import Run, models, quantities
from cplab.estimates import estimate
from cplab.lab.jobs import Throttle
from cplab.labs import lab01, lab02, lab03, lab04, lab04b, lab05, lab09
from cplab.labs.lab05_growth import search, unpack_architecture
from cplab.measure import fisher
from cplab.results import sweep

EARLY = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
CLEAR = Run(onset=24, profile="fit")
BLURRED, FLIPPED = (Run(kind, length=24, profile="fit") for kind in ("blur", "flip"))
FALLING = Run("blur", length=140, profile="slim")


def test_the_steps_left_are_the_area_under_the_rate():
    area = 391 * sum(0.05 * 0.97**epoch for epoch in range(140, 300))
    assert lab02.steps_left(FALLING) == pytest.approx(area)


def test_the_band_around_the_kittens_recovery_is_by_the_delta_method():
    age, values = np.array([20, 40, 60, 90]), [5.5, 3.4, 2.6, 1.4]
    (tau, normal), slack = curve_fit(lab01.decline, age, values, p0=[60, 6])
    fig = lab01.through(age, values, tau, normal, slack)
    corners = fig.ax.collections[0].get_paths()[0].vertices
    for day in np.unique(corners[:, 0])[[0, 70, 199]]:
        here = lab01.decline(day, tau, normal)
        more = lab01.decline(day, tau + 1e-4, normal), lab01.decline(day, tau, normal + 1e-4)
        slope = (np.array(more) - here) / 1e-4
        high = np.ptp(corners[corners[:, 0] == day, 1])
        assert high / 2 == pytest.approx(np.sqrt(slope @ slack @ slope), rel=1e-3)


def test_a_kitten_meets_a_network_that_has_its_curve_and_no_level_one():
    curve, animal = lab01.fractions_of_normal({n: estimate([1.0, 1.0]) for n in (2, 12, 24)})
    assert lab01.meet((curve, animal)) is False
    own = animal.sort_values("x").groupby("x", as_index=False).mean()
    assert lab01.meet((own.assign(x=own.x / 20), animal)) is True


def test_values_and_sources_are_the_ones_printed():
    table = lab01.statements()
    named = table[["quantity", "species", "unit", "source", "where"]].fillna("")
    assert (named != "").all(axis=None)
    for row in table.query("kind == 'point'").itertuples():
        printed = [float(x) for x in re.findall(r"\d+(?:\.\d+)?", row.value_text)]
        assert (row.value_low, row.value_high) == (printed[0], printed[-1])
        assert row.value == (row.value_low + row.value_high) / 2


def test_images_named_correctly_add_up_to_the_accuracy():
    """Of the two seeds that were measured, over the last five epochs, up to some images."""
    accuracies = quantities.accuracy(EARLY).by_seed
    clear, own = lab02.rightly(EARLY)
    assert own.mean(1) == pytest.approx([accuracies[seed] for seed in (5, 6)], abs=0.1)
    clear, own = ((rows > 50).sum(1).mean() for rows in (clear, own))
    lost, regained = lab03.exchanged(EARLY)["with the deficit"]
    assert lost - regained == pytest.approx(clear - own)


def test_the_empirical_trace_is_the_trace_where_labels_are_the_network_s_own():
    torch.manual_seed(0)
    net, x = models.build("allcnn-2", channels=1, size=8).eval(), torch.randn(3, 1, 8, 8)
    total = 0.0
    for image in x:
        for label, chance in enumerate(net(image[None]).softmax(1)[0].tolist()):
            total += chance * lab04.empirical_trace(net, image[None], torch.tensor([label]))
    assert total / len(x) == pytest.approx(fisher.trace(net, x).total, rel=1e-4)


def test_where_harm_is_largest_is_said_by_intervals_alone():
    flat, high = estimate([1.0, 1.1]), estimate([9.0, 9.1])
    assert lab04b.peaks_together({0: flat, 8: high}, 9) == 1
    assert lab04b.peaks_together({0: flat, 8: flat}, 9) == 0
    assert lab04b.peaks_together({0: flat, 8: estimate([])}, 9) is None


def test_correlations_within_a_run_leave_out_what_runs_differ_in():
    runs, seeds, of = [CLEAR, BLURRED, FLIPPED], range(5), lab04b.final_sharpness
    sharp = np.log([[of(run).by_seed[seed] for seed in seeds] for run in runs])
    right = np.array([[quantities.accuracy(run).by_seed[seed] for seed in seeds] for run in runs])
    assert lab04b.overall(of, runs) == pytest.approx(np.corrcoef(sharp.flat, right.flat)[0, 1])
    sharp, right = (rows - rows.mean(1, keepdims=True) for rows in (sharp, right))
    within = np.corrcoef(sharp.flat, right.flat)[0, 1]
    assert lab04b.within(of, runs).mean == pytest.approx(within)


def test_what_a_search_left_is_read_of_every_seed():
    kept = [cplab.find(search.spec(seed=s)).values["architectures"]["0.05"] for s in range(10)]
    right = [100 * one["accuracy"] for one in kept]
    assert str(lab05.accuracy_at_density(search.spec(), 0.05)) == str(estimate(right))
    alive = [unpack_architecture(one["alive"])[0].sum(0) for one in kept]
    counts = lab05.synapses_by_pixel(search.spec(), 0.05)
    assert counts.ravel() == pytest.approx(np.mean(alive, 0))
    ring = counts.sum() - counts[4:24, 4:24].sum()
    assert lab05.on_border(counts) == f"{100 * ring / counts.sum():.0f} % on the border"


def test_a_search_is_drawn_as_it_goes(monkeypatch):
    drawn = []
    monkeypatch.setattr(lab05, "Throttle", lambda draw, seconds: Throttle(draw, seconds=0))
    monkeypatch.setattr(lab05, "draw_search", lambda *of: drawn.append(of) or lab05.show.figure())
    job = lab05.grow_and_prune("practice", fastest=12.8)
    job.choose(gamma="12.8 %", peak="90 %")
    spec = drawn[-1][0]
    assert (spec.gamma, spec.n, spec.keep) == (12.8, 12, (0.05,))
    job.press()
    assert job.wait(300)
    found = search.compute(**spec.arguments)
    _, rows, counts = drawn[-1]
    assert [row["accuracy"] for row in rows] == found["accuracy"]
    kept = unpack_architecture(found["architectures"]["0.05"]["alive"])
    assert (counts.ravel() == kept[0].sum(0)).all()


@pytest.mark.usefixtures("small_mnist", "nothing_shipped")
def test_growth_is_the_norm_as_a_part_of_that_at_birth():
    still = Run(profile="ci", dataset="mnist", recovery=2, model="fc-20", rate=1e-6)
    fast = replace(still, rate=1)
    results = sweep([still, fast], {"gauges": (0, 1)}, progress=False)
    assert lab09.growth_by_layer(still, 1) == pytest.approx(1, rel=1e-3)
    norms = np.array(results[1].measured["gauges"][1]["norms"])
    assert lab09.growth_by_layer(fast, 1) == pytest.approx(norms / lab09.norms_at_birth(fast))


def test_the_norms_at_birth_for_a_page_without_torch_are_those_of_the_network():
    assert lab09.norms_at_birth(Run()) == pytest.approx(lab09.COURSE_AT_BIRTH, abs=1e-6)


def test_what_a_treatment_leaves():
    for left, words in (([0.1, 0.2], "hardly anything"), ([4.2, 4.3], "all of it"), ([2], None)):
        assert lab09.what_is_left(estimate([4.0, 4.2]), estimate(left)) == words
