"""What labs 04 and 04b compute, against definitions."""

import numpy as np
import pytest
import torch

from cplab import Run, models, quantities
from cplab.labs import lab04, lab04b
from cplab.measure import fisher
from cplab.statistics import estimate

CLEAR = Run(onset=24, profile="fit")
BLURRED, FLIPPED = (Run(kind, length=24, profile="fit") for kind in ("blur", "flip"))


def test_doublings_are_of_the_same_epoch_and_seed():
    run, equal = (
        next(r for r in quantities.each_result(each, "trace") if r.spec.seed == 3)
        for each in (BLURRED, BLURRED.equal_training())
    )
    for epoch in (23, -1):
        by_hand = np.log2(run.series("trace")[epoch] / equal.series("trace")[epoch])
        assert lab04.doubled(BLURRED, epoch).by_seed[3] == pytest.approx(by_hand)


def test_a_flip_climbs_higher_and_a_blur_stays_higher():
    """The picture of section 3, and its question."""
    assert (lab04.doubled(FLIPPED, 23) - lab04.doubled(BLURRED, 23)).sign == 1
    assert (lab04.doubled(BLURRED) - lab04.doubled(FLIPPED)).sign == 1


def test_short_runs_are_there_for_everybody_and_can_be_trained_again():
    """They come with the package, so that no machine is too slow for the section."""
    for how in ({}, {"count": 1000}, {"moving": True}, {"width": 4}, {"width": 4, "batches": 600}):
        assert lab04.left(lab04.short_run.spec(**how)).seeds == 5
    small = {"count": 20, "width": 2, "batches": 20, "dataset": "practice"}
    values = lab04.short_run.compute(**small)
    assert values == lab04.short_run.compute(**small)
    assert values["batches"] == [*range(2, 21, 2)]


def test_the_scores_go_on_where_the_trace_falls():
    """By hand, of one seed: norms of the weights times what the logits depend on them."""
    result = quantities.each_result(CLEAR, {"jacobian": (43,), "weight_norms": (43,)})[0]
    series = result.series("trace")
    known = sorted(result.measured["jacobian"])
    near = min(known, key=lambda epoch: abs(epoch - np.argmax(series)))
    sums = [
        np.square(result.measured["weight_norms"][epoch]["norms"])
        @ np.array(result.measured["jacobian"][epoch]["jacobian"])
        for epoch in (near, 43)
    ]
    by_hand = np.log2(sums[1] / sums[0])
    assert lab04b.rises(CLEAR).by_seed[result.spec.seed] == pytest.approx(by_hand)


FLAT, HIGH, NONE = estimate([1.0, 1.1]), estimate([9.0, 9.1]), estimate([])


@pytest.mark.parametrize(
    ("harms", "epoch", "answer"),
    [
        ({0: FLAT, 8: HIGH}, 9, 1),
        ({0: HIGH, 8: FLAT}, 9, -1),
        ({0: FLAT, 8: FLAT}, 9, 0),
        ({0: FLAT, 8: NONE}, 9, None),
        ({0: FLAT, 8: HIGH}, np.nan, None),
    ],
)
def test_where_harm_is_largest_is_said_by_intervals_alone(harms, epoch, answer):
    assert lab04b.peaks_together(harms, epoch) == answer


def test_correlations_within_a_run_leave_out_what_runs_differ_in():
    runs, of = [CLEAR, BLURRED, FLIPPED], lab04b.sharpness
    seeds = range(5)  # which all of them have; the clear run has more
    assert len(of(CLEAR).by_seed) > 5 == len(of(BLURRED).by_seed)
    sharp = np.log([[of(run).by_seed[seed] for seed in seeds] for run in runs])
    right = np.array([[quantities.accuracy(run).by_seed[seed] for seed in seeds] for run in runs])
    every = np.corrcoef(sharp.ravel(), right.ravel())[0, 1]
    assert lab04b.overall(of, runs) == pytest.approx(every)
    sharp, right = (rows - rows.mean(1, keepdims=True) for rows in (sharp, right))
    within = np.corrcoef(sharp.ravel(), right.ravel())[0, 1]
    assert lab04b.within(of, runs).mean == pytest.approx(within)


def test_estimates_of_the_trace_agree_with_it_within_their_errors():
    parts = lab04b.part(lab04b.sample.spec(draws=300))
    assert parts.seeds == 8
    needed = lab04b.draws_needed(lab04b.sample.spec(draws=600))
    error = 0.05 * np.sqrt(needed / 300)  # of one of 300 draws
    assert abs(parts.mean - 1) < 4 * error / np.sqrt(8)
    assert error / 3 < parts.values.std(ddof=1) < 3 * error


def test_where_nothing_is_trained_figures_say_so():
    small = Run(onset=1, profile="ci", seed=9)
    assert lab04b.trace_and_harm(small, {0: NONE}, "blur").png()
    assert lab04b.minima([small]).png()
    assert np.isnan(lab04b.overall(lab04b.sharpness, [small]))
    assert lab04b.within(lab04b.sharpness, [small]).seeds == 0


def test_the_empirical_trace_has_the_labels_that_are_given():
    """Averaged over the network's own labels it is the trace itself."""
    torch.manual_seed(0)
    net, x = models.build("allcnn-2", channels=1, size=8).eval(), torch.randn(3, 1, 8, 8)
    total = 0.0
    for image in x:
        chances = net(image[None]).softmax(1)[0].tolist()
        for label, chance in enumerate(chances):
            total += chance * lab04.empirical_trace(net, image[None], torch.tensor([label]))
    assert total / len(x) == pytest.approx(fisher.trace(net, x).total, rel=1e-4)
