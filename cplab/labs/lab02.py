"""Lab 02: the same blur early and late, in a network whose learning rate never changes.

Accuracy is read against *clear epochs seen*. Since the rate never changes, a single run without a
deficit is the control of all windows: harm is how far a run lies below it after as many clear
epochs. The final accuracy is the mean of the last five epochs.
"""

import math
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cplab import lab, quantities, show
from cplab.base.errors import CplabError, quote, whole
from cplab.base.late import nn
from cplab.estimates import (
    NORMAL_FACTOR,
    NOT_TRAINED,
    Estimate,
    Interval,
    estimate,
    lacking_in,
    rows_of_seeds,
)
from cplab.lab.buttons.button import TrainButton, will_train_here
from cplab.lab.buttons.live import Lines
from cplab.lab.questions.questions import Shown
from cplab.measure import measurement
from cplab.measure.builtin import answers_to
from cplab.output.markup import as_html
from cplab.output.styles import EQUAL, LIVE, ink, style
from cplab.pictures import datasets
from cplab.pictures.previews import drawn_pictures, images_at_hand
from cplab.quantities import harm
from cplab.results.result import LAST
from cplab.results.seeds import FIRST_SEEDS
from cplab.runs import Run
from cplab.show import Figure
from cplab.show.base import styled

if TYPE_CHECKING:
    from cplab.pictures.data import Images


def which_behind(*runs: Run) -> tuple[int, ...] | None:
    """For each run 1 if it ends behind its twin, else 0; None if one is not trained.

    >>> early = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
    >>> which_behind(early, early.replace(onset=24))
    (1, 0)
    """
    signs = [harm(run).sign for run in runs]
    if None in signs:
        return None
    return tuple(int(sign == 1) for sign in signs)


def first_without_harm(harms: Mapping[int, Estimate]) -> int | str | None:
    """The lowest age at which no harm can be told from 0, of {age: harm}; "none" if there is no
    such age, and None if one is not trained.

    >>> first_without_harm({0: estimate([4.0, 4.2]), 8: estimate([-1.0, 1.2])})
    8
    """
    if any(points.sign is None for points in harms.values()):
        return None
    return min((age for age, points in harms.items() if points.sign != 1), default="none")


def if_it_ended(harms: Mapping[int, Estimate]) -> dict[int | str, str]:
    """What would have to be true for each age to be the first without harm, of {age: harm}: its
    answer's feedback.

    >>> if_it_ended({0: estimate([4.0, 4.2]), 8: estimate([-1.0, 1.2])})[8]
    'Then the interval at epoch 8 would reach down to 0. There the harm is 0.1 ± 14.0 points.'
    """
    said: dict[int | str, str] = {}
    first = first_without_harm(harms)
    if first is None:
        return said
    for age, points in harms.items():
        if isinstance(first, int) and age > first:
            said[age] = (
                f"Then every interval to the left of epoch {age} would lie above 0. At epoch "
                f"{first} the harm is {harms[first]} points."
            )
        elif age > 0:
            said[age] = (
                f"Then the interval at epoch {age} would reach down to 0. There the harm is "
                f"{points} points."
            )
    said["none"] = "Then a blur would do harm at any age, and no age would be critical."
    return said


def ages_in_words(harms: Mapping[int, Estimate]) -> str:
    """Say the harm at the lowest age and at the first without any, of {age: harm}.

    >>> ages_in_words({0: estimate([4.0, 4.2]), 8: estimate([-1.0, 1.2])})
    'From birth it does 4.1 ± 1.3 points of harm, at epoch 8 0.1 ± 14.0.'
    """
    youngest = min(harms)
    first = first_without_harm(harms)
    if first is None:
        return NOT_TRAINED
    begin = f"At epoch {youngest}" if youngest else "From birth"
    if not isinstance(first, int):
        return f"{begin} it does {harms[youngest]} points of harm, and some at each of these ages."
    return f"{begin} it does {harms[youngest]} points of harm, at epoch {first} {harms[first]}."


# Your own seeds -----------------------------------------------------------------------------------

BLURRED_DIGITS = Run("mosaic", length=100, profile="tiny")  # lab 00's networks
OWN: list[int] = []  # the seeds that were last asked for


def own_seeds(number: int) -> list[Run]:
    """Twenty of lab 00's networks that nobody else has, blurred from birth, and their twins.

    Arguments:
        number: 1 to 999, which decides their seeds.

    >>> [run.seed for run in own_seeds(7)[:2]]
    [7000, 7001]
    """
    first = 1000 * whole("number", number, 1, 999)
    OWN[:] = range(first, first + 20)
    networks = [BLURRED_DIGITS.with_seed(seed) for seed in OWN]
    twins = [network.without_window() for network in networks]
    return networks + twins


def own_harm() -> Estimate:
    """The harm of the seeds that were last asked for, each beside its twin, in points.

    >>> runs = own_seeds(999)
    >>> own_harm()
    not trained yet
    """
    return estimate(harm(BLURRED_DIGITS, seeds=OWN).values)


# Photographs of your own --------------------------------------------------------------------------

FOUR = 4  # networks of each kind that a student trains
Harms = dict[str, list[float]]  # of a student's networks in points, one a seed, by when they blur
_four: list[int] = []  # the seeds that were last asked for


def small(deficit: Any = "blur", onset: int = 0, length: int = 16) -> Run:
    """A run of `small`, lab 02's network and photographs at a size of which eight networks take
    minutes. Where the photographs are not here, practice images take their place, and a line says
    so. Where nothing can be trained, none are needed. Arguments are those of a run.
    """
    run = Run(deficit, onset, length, profile="small")
    if not will_train_here():
        return run
    return run.replace(dataset=images_at_hand(run.dataset, run.profile))


def seeds_of(number: int) -> range:
    """The four seeds of a number from 1 to 999, which no other number has.

    >>> seeds_of(7)
    range(7000, 7004)
    """
    first = 1000 * whole("number", number, 1, 999)
    return range(first, first + FOUR)


def four(run: Run, number: int) -> list[Run]:
    """Four seeds of a run that nobody else has, and their twins.

    Arguments:
        run: the run.
        number: 1 to 999, which decides their seeds.

    >>> len(four(Run("blur", length=16, profile="small"), 7))
    8
    """
    _four[:] = seeds_of(number)
    networks = [run.with_seed(seed) for seed in _four]
    twins = [network.without_window() for network in networks]
    return networks + twins


def harm_of_four(run: Run, number: int | None = None) -> Estimate:
    """The harm of a student's four networks of a run, each beside its twin, in points.

    Arguments:
        run: the run.
        number: that decides their seeds; by default those that were last asked for.

    >>> harm_of_four(Run("blur", length=3, profile="small"), 999)
    not trained yet
    """
    seeds = _four if number is None else seeds_of(number)
    return estimate(harm(run, seeds=seeds).values)


def own_harms(runs: Iterable[Run], number: int) -> Harms:
    """The harms of a student's networks by when their deficit begins, {words: one a seed}: nothing
    before all of them are trained.

    >>> own_harms([Run("blur", length=3, profile="small")], 999)
    {}
    """
    harms = {}
    for run in runs:
        by_seed = harm(run, seeds=seeds_of(number)).by_seed
        if len(by_seed) < FOUR:
            return {}
        harms[age_and_images(run)] = [round(points, 2) for points in by_seed.values()]
    return harms


def age_and_images(run: Run) -> str:
    """When a deficit begins, and that the images are practice images, so that nobody adds their
    networks to those of photographs.

    >>> age_and_images(Run("blur", length=3, dataset="practice"))
    'from birth (practice images)'
    """
    return f"{show.age(run)} (practice images)" if run.dataset == "practice" else show.age(run)


def grow(runs: Sequence[Run], number: int) -> TrainButton:
    """Let a student train four networks of each run, and their twins, at the press of a button.

    Each network's accuracy grows as a line. Below the lines, the student's harms are dots on the
    lab's own.

    Arguments:
        runs: they differ in when their deficit begins.
        number: 1 to 999, which decides the seeds.

    Returns:
        the button.
    """
    groups: dict[str, list[Run]] = {"twins": []}
    for run in runs:
        networks = four(run, number)
        groups[f"{show.label(run.deficit)} {show.age(run)}"] = networks[:FOUR]
        groups["twins"] += networks[FOUR:]

    def draw(lines: Lines) -> list[object]:
        begun = {}
        for words, of_seeds in lines.items():
            begun[words] = [(epochs, 100 * right) for epochs, right in of_seeds if len(epochs)]
        growing = show.curves(begun, "epoch", "test accuracy, %", height=280)
        own = own_harms(runs, number)
        return [growing, *told(runs, [own])] if own else [growing]

    return lab.live(groups, draw=draw)


def together(runs: Sequence[Run], number: int, lines: Iterable[str] = ()) -> Shown:
    """Show what a student's own networks tell, alone or with those of neighbours, and the student's
    line for a neighbour.

    Arguments:
        runs: they differ in when their deficit begins.
        number: the student's, 1 to 999.
        lines: of neighbours, as their cells show them.

    Raises:
        CplabError: for what is no such line, or one of other ages or images.

    >>> together([Run("blur", length=3, profile="small")], 999)
    Your four networks are not trained yet: press Train above, and then run this cell again.
    """
    neighbours = [read_line(line) for line in lines]
    own = own_harms(runs, number)
    if not own:
        remedy = "a notebook trains them"
        if will_train_here():
            remedy = "press Train above, and then run this cell again"
        words = f"Your four networks are {NOT_TRAINED}: {remedy}."
        return Shown(words, None, f"<p>{words}</p>")
    for neighbour in neighbours:
        if [*neighbour] != [*own]:
            raise CplabError(
                f"a neighbour's networks are {'; '.join(neighbour)}: yours are "
                f"{'; '.join(own)}, and only networks of the same kinds are added up"
            )
    line = as_line(own)
    for_neighbour = f"<p>Your line, for a neighbour: <code>{line}</code></p>"
    page = as_html([*told(runs, [own, *neighbours]), for_neighbour])
    return Shown(verdict([own, *neighbours]), None, page)


def told(runs: Sequence[Run], harms: Sequence[Harms]) -> list[object]:
    """What the networks of some students tell: their dots, and a sentence.

    Arguments:
        runs: they differ in when their deficit begins.
        harms: of each student.
    """
    return [dots(runs, harms), f"<p>{verdict(harms)}</p>"]


@styled
def dots(runs: Sequence[Run], harms: Sequence[Harms]) -> Figure:
    """Draw the harm of each of some students' networks as a dot, beside the lab's mean with its
    interval.

    Arguments:
        runs: they differ in when their deficit begins.
        harms: of each student; the first's dots are filled.
    """
    fig = show.figure("", "when the deficit begins", "harm, points", height=300)
    fig.ax.axhline(0, color=EQUAL.colour, linewidth=1)
    for place, run in enumerate(runs):
        draw_lab(fig, place, run)
        for student, of_one in enumerate(harms):
            right = place + 0.12 * (student + 1)
            draw_student(fig, right, of_one[age_and_images(run)], is_neighbour=student > 0)
    handles, labels = fig.ax.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))  # each once
    fig.legend(entries.values(), entries.keys(), loc="outside right center")
    fig.ax.set_xticks(range(len(runs)), [show.age(run) for run in runs])
    fig.ax.set_xlim(-0.4, len(runs) - 0.6 + 0.12 * len(harms))
    fig.ax.grid(False, axis="x")
    return fig


def draw_lab(fig: Figure, place: float, run: Run) -> None:
    """Draw the mean harm of the lab's networks, with its interval; nothing without any."""
    points = harm(run, seeds=FIRST_SEEDS)
    if not points.seeds:
        return
    look = style(run.deficit)
    fig.ax.errorbar(place, points.mean, np.nan_to_num(points.half), color=look.colour, capsize=6)
    fig.ax.plot(place, points.mean, "s", color=look.colour, label="the lab's mean")


def draw_student(fig: Figure, place: float, values: Sequence[float], is_neighbour: bool) -> None:
    """Draw the harm of each of a student's networks as a dot: those of a neighbour are hollow."""
    fill = "none" if is_neighbour else LIVE.colour
    words = "your neighbours'" if is_neighbour else "yours"
    places = [place] * len(values)
    fig.ax.plot(places, values, "o", label=words, color=LIVE.colour, markerfacecolor=fill)


def verdict(harms: Sequence[Harms]) -> str:
    """Say how much more harm a deficit does at the first age than at the last, in the networks of
    some students, each seed beside itself; of a single age how much it does.

    >>> verdict([{"from birth": [4.0, 3.0, 5.0, 4.5], "at epoch 24": [1.0, 0.5, 1.5, 1.5]}])
    'From birth minus at epoch 24: 3.0 ± 0.6 points (4 networks of each): the age tells.'
    >>> verdict([{"from birth": [4.0, 3.0, 5.0, 4.5]}])
    'From birth: 4.1 ± 1.4 points (4 networks): it does harm.'
    """
    ages = [*harms[0]]
    if len(ages) == 1:
        values = [points for of_one in harms for points in of_one[ages[0]]]
        said = {1: "it does harm", -1: "it helps"}
        return sentence(ages[0], values, f"{len(values)} networks", said)
    first, *_, last = ages
    differences = []
    for of_one in harms:
        pairs = zip(of_one[first], of_one[last], strict=True)
        differences += [early - late for early, late in pairs]
    said = {1: "the age tells", -1: "the later one does more harm"}
    many = f"{len(differences)} networks of each"
    return sentence(f"{first} minus {last}", differences, many, said)


def sentence(what: str, values: Sequence[float], many: str, said: Mapping[int, str]) -> str:
    """Write a mean with its interval, of how many networks, and what its sign says."""
    points = estimate(values)
    words = said.get(points.sign or 0, "so few cannot tell")
    return f"{what[0].upper()}{what[1:]}: {points} points ({many}): {words}."


def as_line(harms: Harms) -> str:
    """Write a student's harms as a line of text, for a neighbour.

    >>> as_line({"from birth": [4.0, 3.0], "at epoch 24": [1.0, -0.5]})
    'from birth: 4.0, 3.0; at epoch 24: 1.0, -0.5'
    """
    parts = []
    for words, values in harms.items():
        parts.append(f"{words}: {', '.join(map(str, values))}")
    return "; ".join(parts)


def read_line(line: str) -> Harms:
    """Read a line that `as_line` has written.

    Raises:
        CplabError: for any other.

    >>> read_line("from birth: 4.0, 3.0; at epoch 24: 1.0, -0.5")
    {'from birth': [4.0, 3.0], 'at epoch 24': [1.0, -0.5]}
    """
    harms: Harms = {}
    try:
        for part in line.split(";"):
            words, values = part.split(":")
            harms[words.strip()] = [float(value) for value in values.split(",")]
    except (ValueError, AttributeError):
        raise CplabError(
            f"{quote(line)} is no line of a neighbour: copy what their cell has printed"
        ) from None
    return harms


# Which images -------------------------------------------------------------------------------------


def half_by_images(run: Run, clear_onset: int) -> Interval | Estimate:
    """Half of the interval that harm would have if only the test images were drawn anew, in points.

    More seeds do not narrow it: all are tested on the same images, whose influence on every seed is
    partly the same. That part is the covariance of two seeds over the images. It is computed on ten
    parts of the images, which give the result an interval of its own.

    Arguments:
        run: of the schedule `fixed`.
        clear_onset: the clear epochs of its control. `correct` was measured over the last five
            epochs of the run, and on the control after as many clear epochs.

    Returns:
        an Estimate without seeds if there are no results.
    """
    last = run.onset + run.recovery
    clear = run.newborn().replace(onset=clear_onset)

    def harm_by_image(control: Run, deprived: Run) -> np.ndarray:
        return accuracy_by_image(control, last) - accuracy_by_image(deprived, run.length + last)

    harms = quantities.each_seed(harm_by_image, clear, run)  # (seeds, images)
    if len(harms) < 2:
        return estimate(rows_of_seeds([], lacking_in(harms)))
    seeds, images = harms.shape
    two_seeds = ~np.eye(seeds, dtype=bool)  # of a matrix (seeds, seeds), all but its diagonal
    covariances = []
    for part in np.array_split(harms, 10, axis=1):  # (seeds, a tenth of the images) each
        matrix = np.cov(part)  # (seeds, seeds)
        covariances.append(matrix[two_seeds].mean())
    shared = estimate(covariances)
    half = NORMAL_FACTOR * math.sqrt(max(shared.mean, 0) / images)
    # half goes with the root of the covariance, so its relative error is half of the covariance's
    half_of_half = shared.half * half / (2 * shared.mean) if half else math.nan
    return Interval(
        mean=half,
        half=half_of_half,
        counts=(seeds,),
        freedom=shared.freedom,
        by_seed={0: half},
    )


@measurement(label="test images named correctly", when="end", images=None)
def measure_correct(net: "nn.Module", images: "Images") -> str:
    """Which test images the network classifies correctly, which tells how much a difference would
    vary with other test images.

    Returns:
        a bit for each image, packed, as base64.
    """
    correct = answers_to(net, images, images.test_x) == images.test_y
    return b64encode(np.packbits(correct.tolist()).tobytes()).decode()


def accuracy_by_image(run: Run, end: int) -> np.ndarray:
    """For each test image, the percentage of the five epochs before `end` after which it is named
    correctly, (images,)."""
    epochs = range(end - LAST, end)
    packed = quantities.result(run, {"correct": epochs}).measured["correct"]  # {epoch: text}
    correct = []
    for epoch in epochs:
        bits = np.frombuffer(b64decode(packed[epoch]), np.uint8)
        correct.append(np.unpackbits(bits))  # 1 for an image that is named correctly
    return 100 * np.mean(correct, axis=0)


class ImageAccuracies(NamedTuple):
    """The accuracy by image of each measured seed at the end of two runs, (seeds, images)."""

    clear: np.ndarray  # of the networks without the deficit
    deprived: np.ndarray


def image_accuracies(run: Run) -> ImageAccuracies:
    """The accuracy by image over the last five epochs, without a run's deficit and with it. The
    deficit is one from birth."""
    # The clear run that was measured is longer than the newborn and begins with its epochs
    clear = run.newborn().replace(onset=24)
    return ImageAccuracies(
        quantities.each_seed(accuracy_by_image, clear, end=clear.recovery),
        quantities.each_seed(accuracy_by_image, run, end=run.length + run.recovery),
    )


def misread(run: Run) -> Figure | str:
    """Draw eight photographs that networks without a run's deficit name correctly and the run's own
    wrongly, in most epochs and seeds; and eight the other way round. If the photographs are
    missing, say in a line how to see them."""
    accuracies = image_accuracies(run)
    if not (len(accuracies.clear) and len(accuracies.deprived)):
        return ""
    if not datasets.is_here(run.dataset):
        remedy = f"<code>{datasets.to_fetch(run.dataset)}</code>"  # nor are they in a page
        return f"<p>To see photographs that they get wrong, in a notebook: {remedy}</p>"
    arrays, _ = datasets.load_arrays(run.dataset)
    photographs = arrays.test_x
    loss = accuracies.clear.mean(0) - accuracies.deprived.mean(0)  # by the deficit, (images,)
    most_lost = np.argsort(-loss, kind="stable")
    most_gained = most_lost[::-1]
    deficit = show.label(run.deficit)
    rows = {
        f"wrong only after {deficit}": photographs[most_lost[:8]],
        f"right only after {deficit}": photographs[most_gained[:8]],
    }
    return show.strips(rows, largest=70)


class BarPart(NamedTuple):
    """Some epochs in a row that a network sees in one way."""

    epochs: int
    label: str
    colour: str


@styled
def time_bars(runs: Mapping[str, Run]) -> Figure:
    """Draw runs as bars of time, {words: run}, in which the deficit has a colour of its own.

    >>> run = Run("blur", onset=4, length=8)
    >>> time_bars({"the run": run, "its twin": run.without_window()})
    epochs: clear, blur
    """
    fig = show.figure("", "epochs", height=80 + 30 * len(runs))
    longest = max(run.epochs for run in runs.values())
    for row, run in enumerate(runs.values()):
        look = style(run.deficit)
        before = BarPart(run.onset, "clear", EQUAL.colour)
        window = BarPart(run.length, look.label, look.colour)
        after = BarPart(run.recovery, "clear", EQUAL.colour)
        draw_stretches(fig, row, [before, window, after], longest)
    fig.ax.set_yticks(range(len(runs)), list(runs))
    fig.ax.invert_yaxis()
    fig.ax.grid(False, axis="y")
    return fig


def draw_stretches(fig: Figure, row: int, stretches: Sequence[BarPart], epochs: int) -> None:
    """Draw stretches of time one after the other in a row of a figure. Those that are long enough
    say what they are.

    Arguments:
        epochs: the width of the figure.
    """
    begin = 0
    for stretch in stretches:
        if not stretch.epochs:
            continue
        gap = min(stretch.epochs, 0.003 * epochs)  # to the next one
        width = stretch.epochs - gap
        fig.ax.barh(row, width, 0.7, begin, color=stretch.colour, label=stretch.label)
        if stretch.epochs > 0.09 * epochs:
            words = f"{stretch.epochs} {stretch.label}"
            middle = begin + stretch.epochs / 2
            fig.ax.text(middle, row, words, ha="center", va="center", color=ink(stretch.colour))
        begin += stretch.epochs


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw what a network sees that is blurred or in noise, beside clear pictures."""
    seen = {"clear": "none", "blurred": "blur", "in noise": "noise"}
    return show.strips({words: drawn_pictures(kind) for words, kind in seen.items()})
