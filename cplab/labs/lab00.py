"""Lab 00: a critical period in a minute, in small networks that learn digits by heart.

All runs are of the profile `tiny`. A network's twin is the same run without the epochs of the
deficit. Harm is how many points of test accuracy a network ends behind its twin, after the clear
epochs that follow the deficit.
"""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from cplab import lab, show
from cplab.base.errors import why_missing
from cplab.estimates import Estimate
from cplab.lab.buttons.button import TrainButton, trains_here, will_train_here
from cplab.output.markup import as_html
from cplab.pictures.previews import few_images, preview
from cplab.quantities import harm, measured
from cplab.runs import Run
from cplab.show import Figure

SEEDS = range(100, 120)  # of a student's own networks; those that come with the lab have others
AGES = (0, 2, 5, 10, 20, 40, 80)  # clear epochs before the deficit, of networks that come with it


def childhood(
    deficit: str = "mosaic",
    onset: int = 0,
    length: int = 200,
    profile: str = "tiny",
    **fields: Any,
) -> Run:
    """A run of `tiny`: clear epochs, a deficit, and 100 clear epochs.

    >>> childhood(onset=80).end
    280
    """
    return Run(deficit, onset, length, profile=profile, **fields)


def twenty(run: Run) -> list[Run]:
    """Twenty seeds of a run, and their twins.

    >>> len(twenty(childhood()))
    40
    """
    networks = [run.with_seed(seed) for seed in SEEDS]
    twins = [network.without_window() for network in networks]
    return networks + twins


def own_twenty(run: Run) -> Estimate:
    """Harm of the twenty seeds that were trained here, each against its twin, in points.

    >>> own_twenty(childhood(length=3, recovery=2))
    not trained yet
    """
    return harm(run, seeds=SEEDS)


def own_images_right(run: Run) -> Estimate:
    """The percentage of its own training images, shown clear, that a network names correctly when
    its deficit ends.

    >>> own_images_right(childhood(length=3, recovery=2))
    not trained yet
    """
    last = run.end - 1  # the last epoch of the deficit, counted from 0
    return 100 * measured(run, "own_images_right", epoch=last)


def new_digits_right(run: Run) -> dict[str, Estimate]:
    """The percentage of new digits that a network names correctly when its deficit ends: of clear
    ones, and of the same in squares of 3 × 3 pixels.

    >>> new_digits_right(childhood())
    {'clear': 56.6 ± 0.9 (20 seeds), 'blurred': 56.7 ± 0.9 (20 seeds)}
    """
    last = run.end - 1  # the last epoch of the deficit, counted from 0
    shown = {"clear": "clear", "blurred": "3"}
    return {
        words: 100 * measured(run, "mosaics", name, epoch=last) for words, name in shown.items()
    }


def kinds(run: Run) -> dict[str, Run]:
    """Runs that differ in their deficit alone, by words for what the networks go through.

    >>> kinds(childhood())["upside down"].deficit
    'flip'
    """
    return {
        "blurred": run.replace(deficit="mosaic"),
        "upside down": run.replace(deficit="flip"),
        "shown noise": run.replace(deficit="noise"),
        "taught wrong names": run.replace(deficit="permute"),
    }


def worst(harms: Mapping[str, Estimate]) -> str | None:
    """Whose harm is above that of each other, of {words: harm}; None if the seeds cannot tell.

    >>> from cplab.estimates import estimate
    >>> worst({"blurred": estimate([9.0, 9.2]), "upside down": estimate([0.0, 0.1])})
    'blurred'
    """
    for words, points in harms.items():
        others = [other for name, other in harms.items() if name != words]
        if all((points - other).sign == 1 for other in others):
            return words
    return None


def first_with_less(harms: Mapping[int, Estimate]) -> int | None:
    """The lowest age at which the harm is below that at the youngest, of {age: harm}; None if the
    seeds show no such age.

    >>> from cplab.estimates import estimate
    >>> harms = {0: estimate([9.0, 9.2]), 5: estimate([9.0, 9.1]), 20: estimate([2.0, 2.1])}
    >>> first_with_less(harms)
    20
    """
    youngest = harms[min(harms)]
    for age in sorted(harms):
        if (youngest - harms[age]).sign == 1:
            return age
    return None


def if_it_were(harms: Mapping[int, Estimate]) -> dict[int, str]:
    """What else one would see if the harm were less from an age on, of {age: harm} at AGES: its
    answer's feedback.

    >>> from cplab.estimates import estimate
    >>> if_it_were({age: estimate([9.0, 9.2]) for age in AGES})[10]
    'Then the curve would be level up to epoch 5, and lower at 10. Look at both: 9.1 ± 1.3 and \
9.1 ± 1.3.'
    """
    birth = harms[0]
    return {
        2: "Then two epochs would be a start that no blur takes away, and the curve would fall at "
        f"once. Look at its second point: {harms[2]}, beside {birth} from birth.",
        5: "Then the interval at epoch 5 would lie below that from birth. Look how far they reach "
        f"into one another: {harms[5]} and {birth}.",
        10: "Then the curve would be level up to epoch 5, and lower at 10. Look at both: "
        f"{harms[5]} and {harms[10]}.",
        20: f"Then a blur at epoch 10 would do all the harm of one from birth, {birth}. Look at "
        f"the curve there: {harms[10]}.",
        40: "Then a network of 20 epochs would be as easily harmed as one that knows nothing, and "
        f"the curve would stay up until there. Its point at epoch 20 is {harms[20]}.",
        80: "Then age would hardly count before the networks have all but done with learning, and "
        f"the last point alone would lie low. The one before it is {harms[40]} already.",
    }


def by_age(trained: Iterable[Run] = ()) -> Figure:
    """Draw one blur's harm against the age at which it begins, and the harm of your own twenty
    seeds of the runs that you trained.

    >>> by_age().ax.get_ylabel()
    'harm, points'
    """
    shipped = [childhood(onset=onset) for onset in AGES]
    words = f"{shipped[0].length} epochs of blur"
    lines = {words: shipped}
    own = [run for run in trained if own_twenty(run).seeds]
    if own:
        lines[f"{words}: yours"] = own
    return show.harm_by("onset", lines, seeds={f"{words}: yours": SEEDS})


def read_aloud(runs: Iterable[Run]) -> str:
    """Say in a line (HTML) what harm your own twenty seeds of each run have, by their age.

    >>> read_aloud([childhood(length=3, recovery=2)])
    ''
    """
    harms = {run.onset: own_twenty(run) for run in runs}
    listed = [f"{age}: <b>{points}</b>" for age, points in harms.items() if points.seeds]
    if not listed:
        return ""
    return f"<p>Your harm, by age in epochs: {', '.join(listed)}.</p>"


def grow(runs: Iterable[Run]) -> TrainButton | lab.Nursery | None:
    """Train your own twenty seeds of each run, from now on, while the cell shows how they do.

    As results come in, their harm by age is drawn again, with a line of numbers below it, both in a
    fold. While torch is being installed, the cell says so, and its button appears afterwards. If
    Python cannot train, as on a page, the browser does: the lab's first screen is shown again, set
    to the middle one of these runs. In a notebook a line says so.

    Returns:
        what the cell shows; None without runs.

    >>> growing = grow([childhood("flip", length=1, recovery=1)])
    >>> growing.wait(100), "200 epochs of blur: yours" in growing.picture
    (True, True)
    """
    runs = [*runs]
    if not runs:
        return None
    if not will_train_here():
        middle = runs[len(runs) // 2]
        if find_spec("torch") is None:
            print(f"{why_missing('torch')}. The browser trains a part of it below.")
        return lab.Nursery(onset=middle.onset, length=middle.length)

    def draw(_: object) -> str:
        return folded(as_html([by_age(runs), read_aloud(runs)]))

    networks = []
    for run in runs:
        networks += twenty(run)
    growing = lab.live({"": networks}, draw=draw)  # `draw` names its lines itself
    if trains_here():
        growing.press()
    return growing


def folded(page: str) -> str:
    """HTML behind a click, so that a figure does not answer the question above it."""
    summary = "Your own networks, on the lab's curve"
    return f"<details><summary>{summary}</summary>{page}</details>"


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw the digits as they are, and as networks see them whose world is blurred, or upside
    down."""
    seen = {"blurred": "mosaic", "upside down": "flip"}
    rows = {}
    for words, deficit in seen.items():
        images, dataset = preview("drawn", "tiny", deficit, count=8)
        rows["as they are"] = few_images(dataset, "paper")[:8]
        rows["12 pixels, clear"] = images["clear"]
        rows[words] = images["seen"]
    return show.strips(rows)
