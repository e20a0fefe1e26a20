"""What labs 01 to 05 and 09 compute, against single results, closed forms and printed data."""

import re
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import cplab
from cplab import Run, models, quantities
from cplab.estimates import estimate
from cplab.lab.buttons.jobs import Throttle
from cplab.labs import lab01, lab02, lab02b, lab03, lab04, lab04b, lab05, lab09
from cplab.labs.lab05_growth import search, unpack_architecture
from cplab.measure import fisher
from cplab.results import sweep

EARLY = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
CLEAR = Run(onset=24, profile="fit")
BLURRED = Run("blur", length=24, profile="fit")
FLIPPED = Run("flip", length=24, profile="fit")
FALLING = Run("blur", length=140, profile="slim")


def test_the_steps_left_are_the_area_under_the_rate():
    area = 391 * sum(0.05 * 0.97**epoch for epoch in range(140, 300))
    assert lab02b.steps_left(FALLING) == pytest.approx(area)


@pytest.fixture
def kitten():
    """Kittens' points, beside a network that always reaches the normal."""
    _, points = lab01.fractions_of_normal({epochs: estimate([1.0, 1.0]) for epochs in (2, 12, 24)})
    return points


def test_a_kitten_meets_a_network_that_has_its_curve(kitten):
    curve = kitten.sort_values("x").groupby("x", as_index=False).mean()
    assert lab01.meet((curve.assign(x=curve.x / 20), kitten)) is True  # 20 days for an epoch


def test_a_kitten_meets_no_network_that_loses_nothing():
    assert (
        lab01.meet(lab01.fractions_of_normal({n: estimate([1.0, 1.0]) for n in (2, 12, 24)}))
        is False
    )


def test_each_statement_names_its_source():
    table = lab01.statements()
    named = table[["quantity", "species", "unit", "source", "where"]].fillna("")
    assert (named != "").all(axis=None)


POINTS = list(lab01.statements().query("kind == 'point'").itertuples())


@pytest.mark.parametrize("row", POINTS, ids=lambda row: row.value_text)
def test_the_range_of_a_value_is_the_one_printed(row):
    printed = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", row.value_text)]
    assert row.value_low == printed[0]
    assert row.value_high == printed[-1]


@pytest.mark.parametrize("row", POINTS, ids=lambda row: row.value_text)
def test_a_value_is_the_middle_of_its_range(row):
    assert row.value == (row.value_low + row.value_high) / 2


def test_the_mean_accuracy_by_image_is_that_of_the_network():
    """Of the two seeds that were measured, over the last five epochs, up to some images."""
    by_seed = quantities.accuracy(EARLY).by_seed
    by_image = lab02.image_accuracies(EARLY).deprived
    assert by_image.mean(1) == pytest.approx([by_seed[5], by_seed[6]], abs=0.1)


def test_images_lost_minus_those_regained_are_the_accuracy_that_is_lost():
    by_image = lab02.image_accuracies(EARLY)
    clear = (by_image.clear > 50).sum(1).mean()
    deprived = (by_image.deprived > 50).sum(1).mean()
    lost, regained = lab03.exchanged(EARLY)["with the deficit"]
    assert lost - regained == pytest.approx(clear - deprived)


def test_the_empirical_trace_is_the_trace_where_labels_are_the_network_s_own():
    torch.manual_seed(0)
    net = models.build("allcnn-2", channels=1, size=8).eval()
    x = torch.randn(3, 1, 8, 8)
    total = 0.0
    for image in x:
        for label, chance in enumerate(net(image[None]).softmax(1)[0].tolist()):
            total += chance * lab04.empirical_trace(net, image[None], torch.tensor([label]))
    assert total / len(x) == pytest.approx(fisher.trace(net, x).total, rel=1e-4)


@pytest.mark.parametrize(
    ("later", "peaks"),
    [([9.0, 9.1], 1), ([1.0, 1.1], 0), ([], None)],
    ids=["higher", "as high", "not trained"],
)
def test_where_harm_is_largest_is_said_by_intervals_alone(later, peaks):
    harms = {0: estimate([1.0, 1.1]), 8: estimate(later)}
    assert lab04b.peaks_together(harms, 9) == peaks


RUNS = [CLEAR, BLURRED, FLIPPED]
SEEDS = range(5)


def by_run(of):
    """A quantity of each run and seed, (runs, seeds)."""
    return np.array([[of(run).by_seed[seed] for seed in SEEDS] for run in RUNS])


def deviations(rows):
    """What is left of each run's values without its mean."""
    return rows - rows.mean(1, keepdims=True)


def test_an_overall_correlation_is_over_each_seed_of_all_runs():
    sharp = np.log(by_run(lab04b.final_sharpness))
    right = by_run(quantities.accuracy)
    expected = np.corrcoef(sharp.flat, right.flat)[0, 1]
    assert lab04b.overall(lab04b.final_sharpness, RUNS) == pytest.approx(expected)


def test_correlations_within_a_run_leave_out_what_runs_differ_in():
    sharp = deviations(np.log(by_run(lab04b.final_sharpness)))
    right = deviations(by_run(quantities.accuracy))
    expected = np.corrcoef(sharp.flat, right.flat)[0, 1]
    assert lab04b.within(lab04b.final_sharpness, RUNS).mean == pytest.approx(expected)


@pytest.fixture(scope="module")
def left():
    """The architectures that each seed's search left, with 5 % of its synapses."""
    found = [cplab.find(search.spec(seed=seed)) for seed in range(10)]
    return [result.values["architectures"]["0.05"] for result in found]


def test_the_accuracy_of_a_search_is_that_of_every_seed(left):
    right = [100 * architecture["accuracy"] for architecture in left]
    assert str(lab05.accuracy_at_density(search.spec(), 0.05)) == str(estimate(right))


def test_the_synapses_of_a_pixel_are_a_mean_over_seeds(left):
    alive = [unpack_architecture(architecture["alive"])[0].sum(0) for architecture in left]
    counts = lab05.synapses_by_pixel(search.spec(), 0.05)
    assert counts.ravel() == pytest.approx(np.mean(alive, 0))


def test_the_border_is_the_outer_four_pixels():
    counts = lab05.synapses_by_pixel(search.spec(), 0.05)
    ring = counts.sum() - counts[4:24, 4:24].sum()
    assert lab05.on_border(counts) == f"{100 * ring / counts.sum():.0f} % on the border"


class Drawing(NamedTuple):
    """What a live search draws: the search, its rows so far, and the synapses of each pixel."""

    spec: Any
    rows: list[dict]
    counts: np.ndarray


@pytest.fixture(scope="module")
def drawings(elsewhere):
    """Drawings of a live search: the first after its knobs were set, the last in the end."""
    drawn = []

    def draw(*parts):
        drawn.append(Drawing(*parts))
        return lab05.show.figure()

    def search_live():
        job = lab05.grow_and_prune("practice")
        job.choose(gamma="12.8 %", peak="90 %")
        chosen = drawn[-1]
        job.press()
        assert job.wait(300)
        return [chosen, drawn[-1]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab05, "Throttle", lambda draw, seconds: Throttle(draw, seconds=0))
        patch.setattr(lab05, "draw_search", draw)
        patch.setattr(lab05, "FASTEST", 12.8)
        first_and_last, folder = elsewhere(search_live)
    return first_and_last, folder


def test_the_knobs_of_a_live_search_choose_its_fields(drawings):
    (chosen, _), _ = drawings
    assert (chosen.spec.gamma, chosen.spec.n, chosen.spec.keep) == (12.8, 12, (0.05,))


@pytest.fixture
def computed(drawings, monkeypatch):
    """The result of the live search."""
    (chosen, _), folder = drawings
    monkeypatch.setenv("CPLAB_CACHE", str(folder))
    return search.compute(**chosen.spec.arguments)


def test_the_last_drawing_of_a_live_search_has_all_its_accuracies(drawings, computed):
    (_, last), _ = drawings
    assert [row["accuracy"] for row in last.rows] == computed["accuracy"]


def test_the_last_drawing_of_a_live_search_has_the_synapses_that_it_left(drawings, computed):
    (_, last), _ = drawings
    kept = unpack_architecture(computed["architectures"]["0.05"]["alive"])
    assert (last.counts.ravel() == kept[0].sum(0)).all()


def test_a_live_search_that_is_stopped_says_that_nothing_is_kept(elsewhere):
    def stopped():
        job = lab05.grow_and_prune("practice")  # of thousands of steps
        job.press()
        while not job.link.live.get("done"):
            assert not job.wait(0.05)
        job.task.stop()
        assert job.wait(100)
        return job.message

    message, _ = elsewhere(stopped)
    assert message == "stopped: nothing of it is kept"


STILL = Run(profile="ci", dataset="mnist", recovery=2, model="fc-20", rate=1e-6)
FAST = replace(STILL, rate=1)


@pytest.mark.usefixtures("small_mnist", "nothing_shipped")
def test_weights_that_hardly_learn_have_the_norm_that_they_were_born_with():
    sweep([STILL], {"gauges": (0, 1)}, progress=False)
    assert lab09.growth_by_layer(STILL, 1) == pytest.approx(1, rel=1e-3)


@pytest.mark.usefixtures("small_mnist", "nothing_shipped")
def test_growth_is_the_norm_as_a_part_of_that_at_birth():
    [result] = sweep([FAST], {"gauges": (0, 1)}, progress=False)
    norms = np.array(result.measured["gauges"][1]["norms"])
    assert lab09.growth_by_layer(FAST, 1) == pytest.approx(norms / lab09.norms_at_birth(FAST))


def test_the_norms_at_birth_for_a_page_without_torch_are_those_of_the_network():
    assert lab09.norms_at_birth(Run()) == pytest.approx(lab09.COURSE_AT_BIRTH, abs=1e-6)


@pytest.mark.parametrize(
    ("left", "words"), [([0.1, 0.2], "hardly anything"), ([4.2, 4.3], "all of it"), ([2], None)]
)
def test_the_harm_that_a_treatment_leaves_is_put_in_words(left, words):
    assert lab09.what_is_left(estimate([4.0, 4.2]), estimate(left)) == words
