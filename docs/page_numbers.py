"""The numbers of the README, of findings.md, of REPRODUCTION.md and of the texts of labs 00 and 02,
from the shipped results, and from photographs.csv and reason.csv of reproduction.

`python docs/page_numbers.py` writes them into these pages; a test holds them there. In the page a
comment with its name follows each of them, `**3.1 ± 0.4**<!--blur-->`, and the page's function here
says what has this name.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cplab import Run, gallery, quantities
from cplab.errors import CplabError
from cplab.estimates import Estimate, estimate
from cplab.labs import lab02, lab04_trace, lab05, lab05b, lab07
from cplab.labs.lab02b import until
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab05b_pruning import prune_weights
from cplab.quantities import accuracy, harm, lost_time
from cplab.runs import FLAGSHIP


class Number(NamedTuple):
    """A number of a page, by the name that stands behind it there."""

    name: str
    value: Estimate
    digits: int = 1


ROOT = Path(__file__).parent.parent
THREE = {name: getattr(FLAGSHIP, name) for name in ("model", "schedule", "recovery")}
SLIM = Run("blur", length=140, profile="slim")
OTHERS = ("cifar10-part2", "cifar10-part3", "cifar10-part4", "fashion_mnist")  # data sets


def blur(length: int = 16, onset: int = 0, **fields: Any) -> Run:
    """A run with blur, by default 16 epochs from birth in the course network."""
    return Run("blur", onset, length, **fields)


def digits(length: int, deficit: str = "blur", model: str = "fc-1250") -> Run:
    """A run of the paper's experiment on MNIST, by default in half its width."""
    return Run(deficit, 0, length, profile="paper", dataset="mnist", model=model, schedule="fixed")


def above_controls() -> Iterator[Number]:
    """Points that grown and pruned nets with 5 % of the synapses are above random ones, and above
    ones with as many on each pixel."""
    grown = retrain.spec("biological", 0.05, search.spec())
    for kind in ("random", "per_pixel"):
        yield Number(f"grown-above-{kind}", quantities.advantage(grown, grown.replace(kind=kind)))


@quantities.quantity
def on_blurred_images(run: Run) -> float:
    """Percent of blurred test images named correctly in the end."""
    end = run.epochs - 1
    return 100 * quantities.result(run, {"blurred": (end,)}).measured["blurred"][end]["blurred"]


@quantities.quantity
def detail_below_chance(run: Run, block: int) -> float:
    """Points by which the share of a block's change that is in detail, which blurred images hardly
    reach, lies below that of a change at random; see `cplab.measure.detail`. Blocks are counted
    from 1."""
    end = run.epochs - 1
    in_the_end = quantities.result(run, {"block_detail": (end,)}).measured["block_detail"][end]
    return 100 * (in_the_end["chance"][block - 1] - in_the_end["share"][block - 1])


@quantities.quantity
def jacobian_at_peak(run: Run) -> float:
    """The squared Jacobian nearest to the trace's peak, as a fraction of the last."""
    curve = lab04_trace.trace_curve(run, measure="jacobian")
    peak = lab04_trace.peak_of(lab04_trace.trace_curve(run))
    measured = np.flatnonzero(curve > 0)  # epochs
    if peak is None or not len(measured):
        return np.nan
    nearest = measured[np.argmin(np.abs(measured - peak))]
    return curve[nearest] / curve[-1]


def readme_numbers() -> Iterator[Number]:
    """The README's numbers."""
    yield Number("blur", harm(blur(**THREE)))
    yield Number("blur-late", harm(blur(onset=24, **THREE)))
    yield Number("flip", harm(Run("flip", length=16, **THREE)))
    for model in ("depth1", "depth3"):
        yield Number(f"blur-{model}", harm(blur(**THREE | {"model": model})))
    yield Number("blur-240-clear", harm(blur(**THREE | {"recovery": 240})))
    yield Number("rate-3-for-good", harm(blur(treatments="rate-3@16")))
    yield Number("rate-3-for-20", harm(blur(treatments="rate-3@16+20", **THREE)))
    noise = Run("noise", length=16)
    held = replace(noise, treatments="held@0")
    yield Number("noise-above-held", harm(noise) - harm(held))
    yield Number("trace-left", lab04_trace.trace_remaining(Run(onset=24, profile="fit")), digits=2)
    yield from above_controls()


def findings_numbers() -> Iterator[Number]:
    """The numbers of findings.md."""
    yield from other_images()
    yield from ages_and_kinds()
    yield from schedules()
    yield from networks()
    yield from insides()


def other_images() -> Iterator[Number]:
    """Harm on clothes, of networks that learn by heart, and on other photographs."""
    clothes = {onset: blur(8, onset, dataset="fashion_mnist") for onset in (0, 24)}
    for onset, run in clothes.items():
        yield Number(f"clothes-at-{onset}", harm(run))
    for onset in (0, 24):
        yield Number(f"by-heart-at-{onset}", harm(blur(12, onset, profile="matched")))
    for onset, run in clothes.items():
        yield Number(f"clothes-lost-time-at-{onset}", lost_time(run))
    for dataset in OTHERS:
        yield Number(f"on-{dataset}", harm(blur(dataset=dataset, **THREE)))


def ages_and_kinds() -> Iterator[Number]:
    """Harm by how long, at which age and of which kind a deficit is."""
    for length in (16, 48):
        longer = blur(length, **THREE | {"recovery": 240})
        yield Number(f"blur-{length}-after-240-clear", harm(longer))
        yield Number(f"blur-{length}-after-60-clear", harm(longer, 60))
    for onset in (0, 24, 48):
        yield Number(f"blur-48-at-{onset}", harm(blur(48, onset, **THREE)))
    for length in (16, 48):
        noise = Run("noise", length=length, **THREE)
        yield Number(f"blur-{length}-above-noise", harm(blur(length, **THREE)) - harm(noise))
    noise = Run("noise", length=16)
    yield Number("noise-below-blur", quantities.advantage(blur(), noise))
    longer_noise = replace(noise, recovery=240)
    advantage = quantities.advantage(blur(recovery=240), longer_noise)
    yield Number("noise-below-blur-after-240-clear", advantage)
    for decay in (0, 0.01):
        random = Run(gallery.random_labels, length=40, profile="matched", weight_decay=decay)
        yield Number(f"random-labels-decay-{decay:g}", harm(random))
    cures = {
        "for-good": "decay-0@0 unaugmented@0",
        "until-40": "decay-0@0+40 unaugmented@0+40",
    }
    for words, cure in cures.items():
        random = Run(gallery.random_labels, length=40, model="allcnn-32", treatments=cure)
        yield Number(f"random-labels-bare-{words}", harm(random))
    gaussian = harm(Run(gallery.gaussian_blur, length=16, **THREE))
    yield Number("gaussian", gaussian)
    yield Number("blur-above-gaussian", harm(blur(**THREE)) - gaussian)
    for onset in (0, 24):
        half = lab02.half_by_images(blur(onset=onset, **THREE), 24)
        yield Number(f"half-by-images-at-{onset}", half, digits=2)


def schedules() -> Iterator[Number]:
    """Harm where the learning rate falls, by both clocks."""
    yield Number("blur-lost-time", lost_time(blur()))
    yield Number("blur-lost-time-after-120-clear", lost_time(blur(recovery=120)))
    for recovery in (120, 240):
        yield Number(f"blur-after-{recovery}-clear", harm(blur(recovery=recovery)))
    squeezed = {kind: harm(until(kind, 140, pace=10)) for kind in ("flip", "blur", "permute")}
    whole = {kind: harm(until(kind, 140)) for kind in ("flip", "blur", "permute")}
    yield Number("flip-squeezed", squeezed["flip"])
    yield Number("flip-whole", whole["flip"])
    yield Number("flip-squeezed-above-whole", squeezed["flip"] - whole["flip"])
    yield Number("blur-squeezed", squeezed["blur"])
    yield Number("blur-whole", whole["blur"])
    yield Number("blur-whole-above-squeezed", whole["blur"] - squeezed["blur"])
    yield Number("labels-squeezed", squeezed["permute"])
    yield Number("labels-whole", whole["permute"])
    yield Number("blur-60-overslept", harm(until("blur", 60), clock="running"))
    yield Number("blur-140-gain-overslept", -harm(until("blur", 140), clock="running"))
    yield Number("flip-140-gain-overslept", -harm(until("flip", 140), clock="running"))
    yield Number("noise-140-overslept", harm(until("noise", 140), clock="running"))
    onsets = (0, 20, 40, 80)
    windows = {onset: replace(until("blur", 40), onset=onset) for onset in onsets}
    for clock in ("stopped", "running"):
        for onset, run in windows.items():
            yield Number(f"window-at-{onset}-{clock}", harm(run, clock=clock))
    for onset, run in windows.items():
        yield Number(f"flip-window-at-{onset}", harm(replace(run, deficit="flip")))


def networks() -> Iterator[Number]:
    """Harm in other networks, and by other optimisers."""
    for end in (20, 60, 100, 140):
        yield Number(f"slim-{end}", harm(SLIM.replace(length=end)))
    for end in (60, 140):
        yield Number(f"slim-{end}-overslept", harm(SLIM.replace(length=end), clock="running"))
    for kind in ("noise", "flip", "permute"):
        yield Number(f"slim-{kind}", harm(SLIM.replace(deficit=kind)))
    for kind in ("noise", "flip"):
        better = quantities.advantage(SLIM.replace(deficit=kind), SLIM)
        yield Number(f"slim-{kind}-above-blur", better)
    yield Number("slim-lost-time", lost_time(SLIM))
    for model in ("fc-1250", "fc-2500"):
        yield Number(f"{model}-blur-480", harm(digits(480, "blur", model)), digits=2)
        yield Number(f"{model}-blur-240", harm(digits(240, "blur", model)), digits=2)
        yield Number(f"{model}-flip-480", harm(digits(480, "flip", model)), digits=2)
    yield Number("mnist-gain", -harm(blur(32, profile="mnist")), digits=2)
    usual = blur(optimizer="adam", rate=1)
    larger = blur(optimizer="adam", rate=10)
    yield Number("adam-newborn", accuracy(usual.newborn()))
    yield Number("adam-gain", -harm(usual))
    yield Number("adam-10-newborn", accuracy(larger.newborn()))
    yield Number("adam-10", harm(larger))
    for width in (8, 32, 48):
        yield Number(f"width-{width}", harm(blur(model=f"allcnn-{width}")))
    for blocks in (1, 2, 3):
        yield Number(f"blocks-{blocks}", harm(blur(**THREE | {"model": f"depth{blocks}"})))
    wide = blur(model="depth1-68", schedule="fixed")
    deep = blur(model="depth3", schedule="fixed")
    yield Number("wide-newborn", accuracy(wide.newborn()))
    yield Number("deep-newborn", accuracy(deep.newborn()))
    yield Number("wide-gain", -harm(wide))
    yield Number("deep", harm(deep))
    wide_later = harm(replace(wide, recovery=60))
    deep_later = harm(replace(deep, recovery=60))
    yield Number("wide-after-60-clear", wide_later)
    yield Number("deep-above-wide-after-60-clear", deep_later - wide_later)


def insides() -> Iterator[Number]:
    """What a deficit leaves in a network, and what other experiments with it gave."""
    gain = on_blurred_images(blur()) - on_blurred_images(Run())
    yield Number("on-blurred-images", gain)
    clear = Run(onset=24, profile="fit")
    yield Number("trace-left", lab04_trace.trace_remaining(clear), digits=2)
    yield Number("jacobian-at-peak", jacobian_at_peak(clear), digits=2)
    blurred_digits = Run("mosaic", length=200, profile="tiny")
    moved = blurred_digits.replace(treatments="other@200")
    moved_flipped = moved.replace(deficit="flip")
    yield Number("digits-blur", harm(blurred_digits))
    yield Number("digits-moved-gain", -harm(moved))
    yield Number("digits-moved-left", quantities.behind(moved, "equal training"))
    yield Number("digits-moved-left-by-flip", quantities.behind(moved_flipped, "equal training"))
    yield Number("digits-moved-gain-over-flip", quantities.advantage(moved, moved_flipped))
    for name, run in {"behind-flip": blurred_digits, "moved-behind-flip": moved}.items():
        handwritten = run.replace(dataset="mnist")
        flipped = handwritten.replace(deficit="flip")
        yield Number(f"handwritten-{name}", quantities.advantage(flipped, handwritten))
    blurred = blur(**THREE)
    flipped = replace(blurred, deficit="flip")
    blurred_exchanged = blurred.replace(treatments="other@16")
    flipped_exchanged = flipped.replace(treatments="other@16")
    behind_flip = harm(blurred) - harm(flipped)
    behind_flip_exchanged = harm(blurred_exchanged) - harm(flipped_exchanged)
    yield Number("behind-flip", behind_flip)
    yield Number("behind-flip-exchanged", behind_flip_exchanged)
    yield Number("behind-flip-less-exchanged", behind_flip - behind_flip_exchanged)
    gain = quantities.gain_over_newborn(blurred_exchanged.equal_training())
    yield Number("clear-exchanged-gain", gain)
    yield Number("exchange-48", points_below_newborn("other images", 48))
    yield Number("advantage-of-flip", quantities.advantage(flipped, blurred))
    for block in (1, 2, 3):
        set_back = f"reset-{block}@16"
        flipped_set_back = flipped.replace(treatments=set_back)
        blurred_set_back = blurred.replace(treatments=set_back)
        better = quantities.advantage(flipped_set_back, blurred_set_back)
        yield Number(f"advantage-of-flip-block-{block}", better)
    strong = blurred.replace(treatments="shift-4@16 cutout-4@16")
    strong_clear = strong.equal_training()
    yield Number("behind-clear", quantities.advantage(blurred.equal_training(), blurred))
    yield Number("strong-augmentation", harm(strong))
    yield Number("strong-augmentation-clear-gain", quantities.gain_over_newborn(strong_clear))
    yield Number("strong-augmentation-left", quantities.advantage(strong_clear, strong))
    strong_flip = replace(strong, deficit="flip")
    behind_flip_strong = harm(strong) - harm(strong_flip)
    yield Number("strong-augmentation-flip-gain", -harm(strong_flip))
    yield Number("strong-augmentation-behind-flip", behind_flip_strong)
    yield Number("behind-flip-less-strong", behind_flip - behind_flip_strong)
    for block in (1, 2, 3):
        gap = detail_below_chance(blurred, block) - detail_below_chance(flipped, block)
        yield Number(f"detail-gap-block-{block}", gap)


def reproduction_numbers() -> Iterator[Number]:
    """The numbers in the sentences of REPRODUCTION.md."""
    longer = THREE | {"recovery": 240}
    yield Number("blur", harm(blur(**THREE)))
    yield Number("blur-16-after-240-clear", harm(blur(**longer)))
    yield Number("blur-48-after-240-clear", harm(blur(48, **longer)))
    yield Number("course-blur", harm(blur()))
    for recovery in (120, 240):
        yield Number(f"course-blur-after-{recovery}-clear", harm(blur(recovery=recovery)))
    yield Number("blur-at-0", harm(blur(**THREE)))
    yield Number("blur-at-24", harm(blur(onset=24, **THREE)))
    for dataset in OTHERS:
        yield Number(f"on-{dataset}", harm(blur(dataset=dataset, **THREE)))
    for onset in (0, 40):
        yield Number(f"window-at-{onset}", harm(replace(until("blur", 40), onset=onset)))
    noise = Run("noise", length=16)
    flip = Run("flip", length=16)
    for kind, run in {"blur": blur(), "noise": noise, "flip": flip}.items():
        yield Number(f"beside-others-{kind}", harm(run))
    for recovery in (15, 240):
        better = quantities.advantage(blur(recovery=recovery), replace(noise, recovery=recovery))
        yield Number(f"blur-above-noise-after-{recovery}", better)
    yield Number("blur-harm-above-noise", harm(blur(**THREE)) - harm(replace(noise, **THREE)))
    for kind in ("noise", "flip"):
        better = quantities.advantage(SLIM.replace(deficit=kind), SLIM)
        yield Number(f"slim-{kind}-above-blur", better)
    yield Number("rate-3-for-20", harm(blur(treatments="rate-3@16+20", **THREE)))
    for schedule in ("recovery", "fixed"):
        better = quantities.advantage(replace(flip, schedule=schedule), blur(schedule=schedule))
        yield Number(f"flip-above-blur-{schedule}", better)
    for model in ("depth1", "depth2", "depth3", "depth1-68"):
        yield Number(f"blur-{model}", harm(blur(**THREE | {"model": model})))
    yield Number("digits-480", harm(digits(480)), digits=2)
    yield Number("mnist-gain", -harm(blur(32, profile="mnist")), digits=2)
    blurred = blur(24, profile="fit")
    readings: dict[str, dict] = {
        "trace": {},
        "scaled-trace": {"scaled": True},
        "jacobian": {"measure": "jacobian"},
    }
    for name, reading in readings.items():
        after = lab04_trace.trace_at(blurred, **reading)
        equal = lab04_trace.trace_at(blurred.equal_training(), **reading)
        yield Number(f"{name}-doublings", lab04_trace.doublings(after, equal))
    for kind, run in {"blur": blur(), "flip": flip}.items():
        shift = lab04_trace.information_shift(run, run.equal_training())
        yield Number(f"layers-later-{kind}", shift)
    dense = accuracy(retrain.spec("dense", 1, search.spec()))
    rounded_up = lab05.accuracy_at_density(search.spec(rounding="up", output="pruned"), 0.05)
    yield Number("rounded-up", dense - rounded_up)
    yield from above_controls()
    pruned = prune_weights.spec("course", "fisher", 0.1)
    random = lab05b.accuracy_at_moment(pruned.replace(metric="random"), "retrained")
    magnitude = lab05b.accuracy_at_moment(pruned.replace(metric="magnitude"), "retrained")
    fisher = lab05b.accuracy_at_moment(pruned, "retrained")
    yield Number("fisher-above-random", fisher - random)
    yield Number("fisher-above-magnitude", fisher - magnitude)
    closed = Run("blank:right", length=8, model="eyes")
    yield Number("acuity-lost", lab07.acuity(closed.without_window()) - lab07.acuity(closed))
    both_eyes = Run("blur", length=8, model="eyes")
    right_eye = Run("blur:right", length=8, model="eyes")
    better = lab07.acuity(both_eyes) - lab07.acuity(right_eye)
    yield Number("acuity-both-blurred-above-one", better)
    for kind, run in {"noise": noise, "blur": blur()}.items():
        better = quantities.advantage(replace(run, treatments="renorm@16"), run)
        yield Number(f"renorm-after-{kind}", better)


def photographs(condition: str, length: int = 16, column: str = "accuracy") -> dict[int, float]:
    """A column of photographs.csv, in percent, by seed.

    Arguments: condition and length, values of its columns `what` and `length`; column, the column.
    """
    table = pd.read_csv(ROOT / "reproduction" / "photographs.csv")
    rows = table[(table.what == condition) & (table.length == length)].dropna(subset=column)
    return dict(zip(rows.seed.tolist(), 100 * rows[column], strict=True))


def points_below_newborn(condition: str, length: int = 16) -> Estimate:
    """Points of accuracy by which photographs' networks lie below newborns on the same images. They
    share no training with these, so that they are no pairs: all newborns count."""
    changed = estimate([*photographs(condition, length).values()])
    if condition == "other images":
        return estimate([*photographs("newborn, other images", 0).values()]) - changed
    return accuracy(Run(**THREE)) - changed


def own_right(condition: str, length: int = 16) -> Estimate:
    """Percent of their own photographs that networks get right after a deficit."""
    return estimate([*photographs(condition, length, "own_right").values()])


def lab_00b_numbers() -> Iterator[Number]:
    """The numbers in the text of lab 00b."""
    yield Number("own-right-after-blur", own_right("other images"))
    yield Number("own-right-after-flip", own_right("flip, when it ends"))
    yield Number("own-right-after-long-blur", own_right("other images", length=48))
    handwritten = Run("mosaic", length=200, profile="tiny", dataset="mnist")
    yield Number("handwritten-own", harm(handwritten))
    yield Number("handwritten-other", harm(handwritten.replace(treatments="other@200")))


# A number in a page: with its interval, or else between asterisks; and the comment with its name
VALUE = r"−?\d+\.\d+ ± \d+\.\d+|(?<=\*\*)(?:−?\d+\.\d+|not trained yet)(?=\*\*)"
NUMBER = re.compile(rf"(?P<value>{VALUE})(?P<after>(?:\*\*)?(?:<!--(?P<name>[\w.-]+)-->)?)")
PAGES: dict[str, Callable[[], Iterator[Number]]] = {
    "README.md": readme_numbers,
    "docs/findings.md": findings_numbers,
    "REPRODUCTION.md": reproduction_numbers,
    "labs/00b_the_reason.ipynb": lab_00b_numbers,
}


def numbers(page: str) -> dict[str, str]:
    """Today's numbers of a page as they are written there, by name: with half the interval if there
    is one."""
    texts = {}
    with quantities.shipped_only():
        for number in PAGES[page]():
            words = f"{number.value:.{number.digits}f}"
            texts[number.name] = words.partition(" (")[0]  # without a note on its seeds
    return texts


def written(page: str) -> dict[str, str]:
    """The numbers that stand in a page now, by name."""
    text = (ROOT / page).read_text()
    return {match["name"]: match["value"] for match in NUMBER.finditer(text) if match["name"]}


def update(page: str) -> None:
    """Write today's numbers into a page. Raises: CplabError for a name in the page that has no
    number, and for a number that the page does not have."""
    today = numbers(page)
    names = set(written(page))
    if names != set(today):
        differing = ", ".join(sorted(names ^ set(today)))
        raise CplabError(
            f"{page} and {PAGES[page].__name__} differ in {differing}: "
            "name each number of the page in this function, and no other"
        )

    def with_todays_value(match: re.Match) -> str:
        if not match["name"]:
            return match[0]
        return today[match["name"]] + match["after"]

    text = (ROOT / page).read_text()
    (ROOT / page).write_text(NUMBER.sub(with_todays_value, text))


if __name__ == "__main__":
    for page in PAGES:
        update(page)
