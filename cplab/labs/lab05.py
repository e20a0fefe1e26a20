"""Lab 05: what a search by growth and pruning leaves, where its synapses are, and your own search.

Functions take a search as `search.spec()`, of any seed: they give the numbers of all seeds that
have results. Densities are fractions.
"""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cplab import show
from cplab.base.late import Tensor
from cplab.estimates import NOT_TRAINED, lacking_in, without_numbers
from cplab.lab.buttons.button import Choice, HowFar, Throttle, TrainButton
from cplab.labs.lab05_growth import (
    DENSITIES,
    expected_density,
    search,
    search_steps,
    unpack_architecture,
)
from cplab.output.markup import as_html
from cplab.quantities import each_result, lack, quantity, result
from cplab.results import Request
from cplab.results.requests import News
from cplab.show import Figure
from cplab.show.base import GREY, TEXT, WIDTH, in_percent, styled
from cplab.specs.experiments import Experiment
from cplab.specs.profiles import Profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NO_SYNAPSES = np.zeros((28, 28))  # on each pixel
FASTEST = 0.64  # the largest γ of the menu, percent


def searched(profile: Profile, dataset: str = "mnist") -> Experiment:
    """A lab's search on a data set; in the profile ci a short one, on practice digits.

    >>> from cplab import PROFILES
    >>> searched(PROFILES["course"]) == search.spec()
    True
    """
    if profile.name != "ci":
        return search.spec(dataset=dataset)
    if dataset == "mnist":
        dataset = "practice"
    return search.spec(dataset=dataset, gamma=1.6, n=100)


@quantity
def accuracy_at_density(spec: Experiment, density: float) -> float:
    """Test accuracy in percent of a search's net, with its own weights, at a density that it kept.

    >>> print(f"{accuracy_at_density(search.spec(), 0.05):.1f}")
    92.6 ± 0.6
    """
    return 100 * result(spec).values["architectures"][f"{density:g}"]["accuracy"]


def falls(spec: Experiment) -> list[tuple[np.ndarray, np.ndarray]]:
    """Density in percent and test accuracy of each seed, once no synapse grows any more: two arrays
    (steps,), as long as there are any.

    >>> density, accuracy = falls(search.spec())[0]
    >>> round(float(density[0]), -1), bool(density[-1] <= 2)
    (50.0, True)
    """
    curves = []
    for stored in each_result(spec):
        density = np.array(stored.values["density"])
        accuracy = np.array(stored.values["accuracy"])
        falling = np.array(stored.values["steps"]) >= stored.spec.n
        shown = falling & (density > 0)
        curves.append((100 * density[shown], accuracy[shown]))
    return curves


# Where the synapses are ---------------------------------------------------------------------------


def count_by_pixel(alive: str) -> np.ndarray:
    """Count the synapses of a packed architecture's first layer on each pixel (28, 28)."""
    first_layer = unpack_architecture(alive)[0]  # booleans (units, 784)
    return first_layer.sum(0).reshape(28, 28)


def synapses_by_pixel(spec: Experiment, density: float) -> np.ndarray:
    """Synapses that a search kept on each pixel at a density, the mean over its seeds (28, 28);
    without results NaN.

    >>> 0.049 < synapses_by_pixel(search.spec(), 0.05).sum() / (16 * 784) <= 0.05
    np.True_
    """
    maps = []
    for stored in each_result(spec):
        kept = stored.values["architectures"][f"{density:g}"]
        maps.append(count_by_pixel(kept["alive"]))
    if not maps:
        return without_numbers(np.full((28, 28), np.nan), [lack(spec)])
    return np.mean(maps, axis=0)


def on_border(counts: np.ndarray) -> str:
    """Write how many synapses (28, 28) are on the outer four pixels, where digits have little ink.

    >>> on_border(np.ones((28, 28)))
    '49 % on the border'
    """
    inside = counts[4:-4, 4:-4].sum()
    percent = 100 - 100 * inside / counts.sum()
    if np.isnan(percent):
        return NOT_TRAINED
    return f"{percent:.0f} % on the border"


def blank_share(x: Tensor) -> float:
    """The percentage of pixels that no image inks, of images x (N, pixels).

    >>> import torch
    >>> blank_share(torch.tensor([[0.0, 0.0], [0.0, 0.5]]))
    50.0
    """
    blank = (x == 0).all(0)
    return 100 * float(blank.float().mean())


def draw_square(ax: "Axes", counts: np.ndarray, darkest: float, title: str = "") -> None:
    """Draw the synapses on each pixel (28, 28); darkest, the number that is drawn darkest."""
    ax.imshow(counts, cmap="Blues", vmin=0, vmax=darkest, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=TEXT, color=GREY)
    ax.grid(False)


@styled
def draw_maps(maps: Mapping[str, np.ndarray], title: str = "") -> Figure:
    """Draw the synapses on each pixel (28, 28) of several architectures, by name. Each is darkest
    where it has most synapses. title: the finding.

    >>> draw_maps({"at birth": np.full((28, 28), 8), "later": np.eye(28)})
    synapses on each pixel: at birth, later
    """
    side = min(300, WIDTH // len(maps))
    height = side + 30 if title else side
    fig = show.figure(title, width=side * len(maps), height=height)
    fig.delaxes(fig.ax)
    fig.pictures = f"synapses on each pixel: {', '.join(maps)}"
    fig.lacking = lacking_in(maps)
    axes = fig.subplots(1, len(maps), squeeze=False)[0]
    for ax, (words, counts) in zip(axes, maps.items(), strict=True):
        darkest = max(1e-9, counts.max())
        draw_square(ax, counts, darkest, words)
        if np.isnan(counts).all():
            ax.text(14, 14, NOT_TRAINED, ha="center", color=GREY)
    return fig


# Your own search ----------------------------------------------------------------------------------


@styled
def draw_search(spec: Experiment, rows: list[dict], counts: np.ndarray) -> Figure:
    """Draw a search so far: density, beside what is expected, test accuracy, and synapses.

    Arguments:
        spec: the search.
        rows: its reports, each with step, density and accuracy.
        counts: the synapses on each pixel (28, 28).
    """
    fig = show.figure("", width=860, height=205)
    fig.delaxes(fig.ax)
    axes = fig.subplot_mosaic("DAS")
    density = axes["D"]
    accuracy = axes["A"]
    synapses = axes["S"]

    reported = [row["step"] for row in rows]
    last = max(search_steps(spec.gamma, spec.n, spec.start), *reported, 0)
    steps = np.linspace(0, last, 200)
    expected = expected_density(steps, spec.gamma, spec.n, spec.start)  # percent
    density.plot(steps, expected / 100, "--", color=GREY, linewidth=2)
    density.set(ylabel="density", xlabel="step")
    accuracy.set(ylabel="accuracy", xlabel="step")
    for ax, column in ((density, "density"), (accuracy, "accuracy")):
        values = [row[column] for row in rows]
        ax.plot(reported, values, color=show.colour("biological"))
        ax.set(ylim=(0, 1), xlim=(0, last))
        in_percent(ax.yaxis)
    draw_square(synapses, counts, 16, "synapses on each pixel, 0 to 16")
    return fig


def grow_and_prune(dataset: str = "mnist") -> TrainButton:
    """Grow and prune a network live, and watch its synapses: menus, a button to start it, and the
    picture.

    Arguments:
        dataset: of images.

    >>> grow_and_prune("practice").words
    'Grow and prune'
    """
    gammas = {f"{FASTEST / part:g} %": FASTEST / part for part in (8, 4, 2, 1)}
    peaks = {f"{peak} %": peak for peak in range(55, 100, 5)}
    densities = {f"{100 * density:g} %": density for density in DENSITIES}
    choices = {
        "gamma": Choice("γ", gammas, f"{FASTEST / 4:g} %"),
        "peak": Choice("peak density", peaks, "90 %"),
        "final": Choice("final density", densities, f"{100 * DENSITIES[4]:g} %"),
    }

    def chosen_search() -> Experiment:
        """The search that the menus describe."""
        gamma = button.chosen["gamma"]
        growth = button.chosen["peak"] - 50  # from birth to the peak, percent of all synapses
        n = round(4 * growth / gamma)  # since n steps of growth reach γ n / 4 above the birth
        return search.spec(dataset, gamma=gamma, n=n, keep=(button.chosen["final"],))

    def draw(rows: list[dict], counts: np.ndarray) -> None:
        button.picture = as_html(draw_search(chosen_search(), rows, counts))

    def work(stop: threading.Event) -> str:
        """Search, with a picture after each report, and say how the network ends."""
        spec = chosen_search()
        rows: list[dict] = []

        def tell() -> None:
            row = rows[-1]
            words = f"step {row['step']:,} of {row['steps']:,}"
            button.tell(HowFar(row["step"], row["steps"], words))
            draw(rows.copy(), row["pixels"])

        throttle = Throttle(tell, seconds=0.4)

        def hear(request: Request, news: News) -> None:
            for _, row in news:
                if isinstance(row, dict) and "step" in row:
                    rows.append(row)
                    throttle()

        request = Request([spec], stop=stop, fresh=True).listen(hear)  # to be watched each time
        try:
            [(_, found)] = request.train()
        finally:
            throttle.finish()
        [density] = spec.keep
        kept = found.values["architectures"][f"{density:g}"]
        draw(rows, count_by_pixel(kept["alive"]))
        return f"at {100 * density:g} %: {100 * kept['accuracy']:.1f} % right (one seed)"

    button = TrainButton("Grow and prune", work, choices, "stopped: nothing of it is kept")
    button.link.observe(lambda change: draw([], NO_SYNAPSES), "state")  # when a menu is used
    draw([], NO_SYNAPSES)
    return button


# The picture under the title ---------------------------------------------------------------------


def first_picture() -> Figure:
    """Draw how many synapses networks have at birth, at their peak, and in the end."""
    densities = np.array([stored.values["density"] for stored in each_result(search.spec())])
    counts = {
        "at birth": [0.5] * len(densities),
        "at their peak": densities.max(axis=1),
        "in the end": [min(DENSITIES)] * len(densities),
    }
    source = f"{len(densities)} searches"
    return show.bars(counts, "synapses alive", percent=True, source=source, height=300)
