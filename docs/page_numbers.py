"""The numbers of the README, of findings.md, of REPRODUCTION.md and of the texts of labs 00 and 02,
from the shipped results, and from photographs.csv and reason.csv of reproduction.

`python docs/page_numbers.py` writes them into these pages, in the order of their text; a test holds
them there. A number of the README has its interval; those of the others stand in bold.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cplab import Run, gallery, quantities
from cplab.errors import CplabError
from cplab.estimates import Estimate, estimate
from cplab.labs import lab02, lab04_trace, lab05b, lab07
from cplab.labs.lab00_reason import left_beside
from cplab.labs.lab02b import until
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.labs.lab05b_pruning import prune_weights
from cplab.quantities import accuracy, harm, lost_time
from cplab.runs import FLAGSHIP

ROOT = Path(__file__).parent.parent
THREE = {name: getattr(FLAGSHIP, name) for name in ("model", "schedule", "recovery")}
SLIM = Run("blur", length=140, profile="slim")
OTHERS = "cifar10-part2", "cifar10-part3", "cifar10-part4", "fashion_mnist"


def blur(length: int = 16, onset: int = 0, **fields: Any) -> Run:
    """A run with blur, by default 16 epochs from birth in the course network."""
    return Run("blur", onset, length, **fields)


def digits(length: int, deficit: str = "blur", model: str = "fc-1250") -> Run:
    """A run of the paper's experiment on MNIST, by default in half its width."""
    return Run(deficit, 0, length, profile="paper", dataset="mnist", model=model, schedule="fixed")


def above_controls() -> Iterator[Estimate]:
    """Points that grown and pruned nets with 5 % of the synapses are above random ones, and above
    ones with as many on each pixel."""
    found = retrain.spec("biological", 0.05, search.spec())
    for kind in ("random", "per_pixel"):
        yield quantities.advantage(found, found.replace(kind=kind))


@quantities.quantity
def on_blurred_images(run: Run) -> float:
    """Percent of blurred test images named rightly in the end."""
    end = run.epochs - 1
    return 100 * quantities.result(run, {"blurred": (end,)}).measured["blurred"][end]["blurred"]


@quantities.quantity
def jacobian_at_peak(run: Run) -> float:
    """The squared Jacobian nearest to the trace's peak, as a fraction of the last."""
    curve = lab04_trace.trace_curve(run, of="jacobian")
    peak, known = lab04_trace.peak_of(lab04_trace.trace_curve(run)), np.flatnonzero(curve > 0)
    if peak is None or not len(known):
        return np.nan
    return curve[known[np.argmin(np.abs(known - peak))]] / curve[-1]


def of_readme() -> Iterator[Any]:
    """The README's numbers, in its order; each an Estimate, or one with its number of digits."""
    yield harm(blur(**THREE))
    yield harm(blur(onset=24, **THREE))
    yield harm(Run("flip", length=16, **THREE))
    yield from (harm(blur(**THREE | {"model": model})) for model in ("depth1", "depth3"))
    yield harm(blur(**THREE | {"recovery": 240}))
    yield harm(blur(treatments="rate-3@16"))
    yield harm(blur(treatments="rate-3@16+20", **THREE))
    noise = Run("noise", length=16)
    yield harm(noise) - harm(replace(noise, treatments="held@0"))
    yield lab04_trace.trace_remaining(Run(onset=24, profile="fit")), 2
    yield from above_controls()


def of_findings() -> Iterator[Any]:
    """The numbers of findings.md, likewise."""
    clothes, by_heart = (
        [blur(n, onset, **fields) for onset in (0, 24)]
        for n, fields in ((8, {"dataset": "fashion_mnist"}), (12, {"profile": "matched"}))
    )
    yield from map(harm, (*clothes, *by_heart))
    yield from map(lost_time, clothes)
    for dataset in OTHERS:
        yield harm(blur(dataset=dataset, **THREE))
    for length in (16, 48):
        longer = blur(length, **THREE | {"recovery": 240})
        yield harm(longer)
        yield harm(longer, 60)
    for onset in (0, 24, 48):
        yield harm(blur(48, onset, **THREE))
    for length in (16, 48):
        noise = harm(Run("noise", length=length, **THREE))
        yield harm(blur(length, **THREE)) - noise
    noise = Run("noise", length=16)
    yield from (
        quantities.advantage(blur(**n), replace(noise, **n)) for n in ({}, {"recovery": 240})
    )
    for decay in (0, 0.01):
        yield harm(Run(gallery.random_labels, length=40, profile="matched", weight_decay=decay))
    for cures in ("decay-0@0 unaugmented@0", "decay-0@0+40 unaugmented@0+40"):
        random = Run(gallery.random_labels, length=40, model="allcnn-32", treatments=cures)
        yield harm(random)
    gaussian = harm(Run(gallery.gaussian_blur, length=16, **THREE))
    yield from (gaussian, harm(blur(**THREE)) - gaussian)
    for onset in (0, 24):
        yield lab02.half_by_images(blur(onset=onset, **THREE), 24), 2
    yield lost_time(blur())
    yield lost_time(blur(recovery=120))
    yield harm(blur(recovery=120))
    yield harm(blur(recovery=240))
    squeezed, whole = (
        {k: harm(until(k, 140, n)) for k in ("flip", "blur", "permute")} for n in (10, 1)
    )
    yield from (squeezed["flip"], whole["flip"], squeezed["flip"] - whole["flip"])
    yield from (squeezed["blur"], whole["blur"], whole["blur"] - squeezed["blur"])
    yield from (squeezed["permute"], whole["permute"])
    yield harm(until("blur", 60), clock="running")
    yield -harm(until("blur", 140), clock="running")
    yield -harm(until("flip", 140), clock="running")
    yield harm(until("noise", 140), clock="running")
    windows = [replace(until("blur", 40), onset=onset) for onset in (0, 20, 40, 80)]
    yield from (harm(run, clock=clock) for clock in ("stopped", "running") for run in windows)
    yield from (harm(replace(run, deficit="flip")) for run in windows)
    yield from (harm(Run("blur", length=end, profile="slim")) for end in (20, 60, 100, 140))
    yield from (harm(Run("blur", length=end, profile="slim"), clock="running") for end in (60, 140))
    yield from (
        harm(Run(kind, length=140, profile="slim")) for kind in ("noise", "flip", "permute")
    )
    yield from (quantities.advantage(replace(SLIM, deficit=k), SLIM) for k in ("noise", "flip"))
    yield lost_time(SLIM)
    for model in ("fc-1250", "fc-2500"):
        longest = digits(480, "blur", model), digits(240, "blur", model), digits(480, "flip", model)
        yield from ((harm(run), 2) for run in longest)
    yield -harm(blur(32, profile="mnist")), 2
    usual, larger = (blur(optimizer="adam", rate=rate) for rate in (1, 10))
    yield from (accuracy(usual.newborn()), -harm(usual), accuracy(larger.newborn()), harm(larger))
    yield from (harm(blur(model=f"allcnn-{width}")) for width in (8, 32, 48))
    yield from (harm(blur(**THREE | {"model": f"depth{n}"})) for n in (1, 2, 3))
    wide, deep = (blur(model=model, schedule="fixed") for model in ("depth1-68", "depth3"))
    yield from (accuracy(wide.newborn()), accuracy(deep.newborn()), -harm(wide), harm(deep))
    wide, deep = (harm(replace(run, recovery=60)) for run in (wide, deep))
    yield from (wide, deep - wide)
    yield on_blurred_images(blur()) - on_blurred_images(Run())
    clear = Run(onset=24, profile="fit")
    yield lab04_trace.trace_remaining(clear), 2
    yield jacobian_at_peak(clear), 2
    blurred_digits = Run("mosaic", length=200, profile="tiny")
    yield left_beside(blurred_digits.replace(treatments="other@200"))
    yield harm(blurred_digits)
    blurred = blur(**THREE)
    flipped = replace(blurred, deficit="flip")
    behind_flip = harm(blurred) - harm(flipped)
    blurred_exchanged = blurred.replace(treatments="other@16")
    flipped_exchanged = flipped.replace(treatments="other@16")
    behind_flip_exchanged = harm(blurred_exchanged) - harm(flipped_exchanged)
    yield from (behind_flip, behind_flip_exchanged, behind_flip - behind_flip_exchanged)
    yield quantities.gain_over_newborn(blurred_exchanged.equal_training())
    yield points_below_newborn("other images", 48)
    behind_flip = quantities.advantage(flipped, blurred)
    yield behind_flip
    for block in (1, 2, 3):
        set_back = f"reset-{block}@16"
        flipped_set_back = flipped.replace(treatments=set_back)
        yield quantities.advantage(flipped_set_back, blurred.replace(treatments=set_back))


def of_reproduction() -> Iterator[Any]:
    """The numbers in the sentences of REPRODUCTION.md, likewise."""
    longer = THREE | {"recovery": 240}
    yield from map(harm, (blur(**THREE), blur(**longer), blur(48, **longer)))
    yield from map(harm, (blur(), blur(recovery=120), blur(recovery=240)))
    yield from map(harm, (blur(**THREE), blur(onset=24, **THREE)))
    yield from (harm(blur(dataset=images, **THREE)) for images in OTHERS)
    yield from (harm(replace(until("blur", 40), onset=onset)) for onset in (0, 40))
    noise, flip = (Run(kind, length=16) for kind in ("noise", "flip"))
    yield from map(harm, (blur(), noise, flip))
    for recovery in (15, 240):
        one, other = (replace(run, recovery=recovery) for run in (blur(), noise))
        yield quantities.advantage(one, other)
    yield harm(blur(**THREE)) - harm(replace(noise, **THREE))
    yield from (quantities.advantage(replace(SLIM, deficit=k), SLIM) for k in ("noise", "flip"))
    yield harm(blur(treatments="rate-3@16+20", **THREE))
    fixed = {"schedule": "fixed"}
    yield from (quantities.advantage(replace(flip, **how), blur(**how)) for how in ({}, fixed))
    for model in ("depth1", "depth2", "depth3", "depth1-68"):
        yield harm(blur(**THREE | {"model": model}))
    yield from ((harm(digits(480)), 2), (-harm(blur(32, profile="mnist")), 2))
    blurred = blur(24, profile="fit")
    for how in ({}, {"scaled": True}, {"of": "jacobian"}):
        both = (blurred, blurred.equal_training())
        yield lab04_trace.doublings(*(lab04_trace.trace_at(run, **how) for run in both))
    for run in (blur(), flip):
        yield lab04_trace.information_shift(run, run.equal_training())
    yield from above_controls()
    pruned = prune_weights.spec("course", "fisher", 0.1)
    for metric in ("random", "magnitude"):
        others = (pruned, pruned.replace(metric=metric))
        one, other = (lab05b.accuracy_at(spec, "retrained") for spec in others)
        yield one - other
    closed = Run("blank:right", length=8, model="eyes")
    yield lab07.acuity(closed.without_window()) - lab07.acuity(closed)
    both, alone = (Run(kind, length=8, model="eyes") for kind in ("blur", "blur:right"))
    yield lab07.acuity(both) - lab07.acuity(alone)
    for run in (noise, blur()):
        yield quantities.advantage(replace(run, treatments="renorm@16"), run)


def photographs(what: str, length: int = 16, column: str = "accuracy") -> dict[int, float]:
    """What was trained for a reason in photographs, in percent, by seed."""
    table = pd.read_csv(ROOT / "reproduction" / "photographs.csv")
    rows = table[(table.what == what) & (table.length == length)].dropna(subset=column)
    return dict(zip(rows.seed.tolist(), 100 * rows[column], strict=True))


def points_below_newborn(what: str, length: int = 16) -> Estimate:
    """Points of accuracy by which photographs' networks lie below newborns on the same images. They
    share no training with these, so that they are no pairs: all newborns count."""
    changed = estimate([*photographs(what, length).values()])
    if what == "other images":
        return estimate([*photographs("newborn, other images", 0).values()]) - changed
    return accuracy(Run(**THREE)) - changed


def own_right() -> Iterator[Estimate]:
    """Percent of their own photographs that networks get right after a blur, and after a flip."""
    for what in ("other images", "flip, when it ends"):
        yield estimate([*photographs(what, column="own_right").values()])


def of_lab_00() -> Iterator[Any]:
    """The numbers in the text of lab 00, sections 3 and 7."""
    table = pd.read_csv(ROOT / "reproduction" / "reason.csv").set_index("attempt")
    for attempt in ("clothes, mosaic from birth", "clothes, mosaic at onset 80"):
        yield estimate(table.filter(like="harm_").loc[attempt])
    yield from own_right()
    yield from map(harm, (blur(**THREE), Run("flip", length=16, **THREE)))


def of_lab_02() -> Iterator[Any]:
    """The numbers in the text of lab 02, section 9."""
    yield from own_right()
    for part in ("block 1", "block 2", "block 3", "norms"):
        yield points_below_newborn(part)
    for mosaic in ("mosaic-4", "mosaic"):
        yield points_below_newborn(mosaic)
        yield estimate([*photographs(mosaic, column="own_right").values()])


NUMBER = r"−?\d+\.\d+(?: ± \d+\.\d+)?"
BOLD = rf"(?<=\*\*){NUMBER}(?=\*\*)"
OR_NOT_YET = rf"(?<=\*\*)(?:{NUMBER}|not trained yet)(?=\*\*)"
PAGES: dict[str, tuple[str, Callable[[], Iterator[Any]]]] = {
    "README.md": (r"−?\d+\.\d+ ± \d+\.\d+", of_readme),
    "docs/findings.md": (BOLD, of_findings),
    "REPRODUCTION.md": (BOLD, of_reproduction),
    "labs/00_a_critical_period_in_ten_seconds.ipynb": (OR_NOT_YET, of_lab_00),
    "labs/02_blur_critical_period.ipynb": (OR_NOT_YET, of_lab_02),
}


def numbers(page: str) -> list[str]:
    """Each number of a page with half its 95 % interval, if it has one."""
    with quantities.shipped_only():
        pairs = [each if isinstance(each, tuple) else (each, 1) for each in PAGES[page][1]()]
        return [f"{number:.{digits}f}".partition(" (")[0] for number, digits in pairs]


def written(page: str) -> list[str]:
    """The numbers that stand in a page."""
    return re.findall(PAGES[page][0], (ROOT / page).read_text())


def update(page: str) -> None:
    """Write today's numbers into a page. Raises: CplabError where it has more or fewer of them."""
    now, today = written(page), numbers(page)
    if len(now) != len(today):
        raise CplabError(
            f"{page} has {len(now)} numbers, and {PAGES[page][1].__name__} gives {len(today)}: "
            "take the line of a sentence that went out of this function, or add one"
        )
    text, following = (ROOT / page).read_text(), iter(today)
    (ROOT / page).write_text(re.sub(PAGES[page][0], lambda _: next(following), text))


if __name__ == "__main__":
    for page in PAGES:
        update(page)
