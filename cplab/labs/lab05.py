"""Lab 05: what a search by growth and pruning leaves, where its synapses are, and your own search.

A search is described by `search.spec()`, with any seed: its numbers are those of all seeds that
have results. Densities are fractions.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from cplab import show
from cplab.estimates import MISSING
from cplab.lab.jobs import Choice, Job, Throttle
from cplab.labs.lab05_growth import (
    DENSITIES,
    expected_density,
    search,
    search_steps,
    unpack_architecture,
)
from cplab.late import torch
from cplab.moved import say_where_names_went
from cplab.output import as_html
from cplab.quantities import Missing, each_result, quantity, result
from cplab.show import Figure
from cplab.show.base import GREY, TEXT, WIDTH, in_percent, styled
from cplab.specs.experiments import Experiment
from cplab.specs.profiles import Profile

EMPTY = np.zeros((28, 28))


def searched(here: Profile, dataset: str = "mnist") -> Experiment:
    """The search of a lab, on images; in the profile ci a short one, on digits that are drawn.

    >>> from cplab import PROFILES
    >>> searched(PROFILES["course"]) == search.spec()
    True
    """
    if here.name != "ci":
        return search.spec(dataset=dataset)
    return search.spec(dataset="practice" if dataset == "mnist" else dataset, gamma=1.6, n=100)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread: a lab's small steps gain nothing from a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@quantity
def accuracy_at(spec: Any, density: float) -> float:
    """Test accuracy in percent of a search's net, with its own weights, at a density that it kept.

    >>> print(f"{accuracy_at(search.spec(), 0.05):.1f}")
    92.6 ± 0.6
    """
    try:
        return 100 * result(spec).values["architectures"][f"{density:g}"]["accuracy"]
    except KeyError:
        raise Missing(f"{spec.call()} kept nothing at density {density:g}") from None


def falls(spec: Experiment) -> list[tuple[np.ndarray, np.ndarray]]:
    """Density in percent and test accuracy of each seed, from its highest density on.

    >>> density, accuracy = falls(search.spec())[0]
    >>> round(float(density[0]), -1), bool(density[-1] <= 1)
    (90.0, True)
    """
    pairs = []
    for found in each_result(spec):
        density, accuracy = (np.array(found.values[name]) for name in ("density", "accuracy"))
        peak = density.argmax()
        pairs.append((100 * density[peak:], accuracy[peak:]))
    return pairs


# Where the synapses are ---------------------------------------------------------------------------


def count_by_pixel(alive: str) -> np.ndarray:
    """Count the synapses of a packed architecture's first layer on each pixel (28, 28)."""
    return unpack_architecture(alive)[0].sum(0).reshape(28, 28)


def synapses_by_pixel(spec: Experiment, density: float) -> np.ndarray:
    """Synapses that a search kept on each pixel at a density, the mean over its seeds (28, 28);
    without results NaN.

    >>> 0.049 < synapses_by_pixel(search.spec(), 0.05).sum() / (16 * 784) <= 0.05
    np.True_
    """
    kept = [found.values["architectures"].get(f"{density:g}") for found in each_result(spec)]
    maps = [count_by_pixel(one["alive"]) for one in kept if one]
    return np.mean(maps, axis=0) if maps else np.full((28, 28), np.nan)


def on_border(counts: np.ndarray) -> str:
    """Write how many synapses (28, 28) are on the outer four pixels, where digits have little ink.

    >>> on_border(np.ones((28, 28)))
    '49 % on the border'
    """
    share = 100 - 100 * counts[4:-4, 4:-4].sum() / counts.sum()
    return MISSING if np.isnan(share) else f"{share:.0f} % on the border"


def blank_share(x: Any) -> float:
    """The percentage of pixels that no image inks, of images x (N, pixels)."""
    return 100 * float((x == 0).all(0).float().mean())


def draw_square(ax: Any, counts: np.ndarray, most: float, title: str = "") -> None:
    """Draw the synapses on each pixel (28, 28), darkest where `most` are."""
    ax.imshow(counts, cmap="Blues", vmin=0, vmax=most, interpolation="nearest")
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
    fig = show.figure(title, width=side * len(maps), height=side + 30 * bool(title))
    fig.delaxes(fig.ax)
    fig.pictures = f"synapses on each pixel: {', '.join(maps)}"
    axes = fig.subplots(1, len(maps), squeeze=False)[0]
    for ax, (words, counts) in zip(axes, maps.items(), strict=True):
        draw_square(ax, counts, max(1e-9, counts.max()), words)
        if np.isnan(counts).all():
            ax.text(14, 14, MISSING, ha="center", color=GREY)
    return fig


# One of one's own ---------------------------------------------------------------------------------


@styled
def draw_search(spec: Experiment, rows: list[dict], counts: np.ndarray) -> Figure:
    """Draw a search so far, as its reports say: density, beside what is expected, test accuracy,
    and the synapses on each pixel (28, 28)."""
    fig = show.figure("", width=780, height=330)
    fig.delaxes(fig.ax)
    axes = fig.subplot_mosaic("dp;ap", width_ratios=(1.35, 1))
    last = max([search_steps(spec.gamma, spec.n, spec.start), *(row["step"] for row in rows)])
    steps = np.linspace(0, last, 200)
    expected = expected_density(steps, spec.gamma, spec.n, spec.start)
    axes["d"].plot(steps, expected / 100, "--", color=GREY, linewidth=2)
    axes["d"].set_ylabel("density")
    axes["a"].set(ylabel="accuracy", xlabel="step")
    for name, column in (("d", "density"), ("a", "accuracy")):
        path = [(row["step"], row[column]) for row in rows]
        axes[name].plot(*np.array(path).T if path else ([], []), color=show.colour("biological"))
        axes[name].set(ylim=(0, 1), xlim=(0, last))
        in_percent(axes[name].yaxis)
    draw_square(axes["p"], counts, 16, "synapses on each pixel, 0 to 16")
    return fig


def grow_and_prune(dataset: str = "mnist", fastest: float = 0.64) -> Job:
    """Grow and prune a network live, and watch its synapses: menus, a button to start it, and the
    picture.

    Arguments: dataset, of images; fastest, the largest γ of the menu, percent.

    >>> grow_and_prune("practice").words
    'Grow and prune'
    """
    gammas = {f"{fastest / part:g} %": fastest / part for part in (8, 4, 2, 1)}
    peaks = {f"{peak} %": peak for peak in range(55, 100, 5)}
    ends = {f"{100 * density:g} %": density for density in DENSITIES}
    choices = {
        "gamma": Choice("γ", gammas, f"{fastest / 4:g} %"),
        "peak": Choice("peak density", peaks, "90 %"),
        "final": Choice("final density", ends, [*ends][4]),
    }

    def search_asked() -> Experiment:
        chosen = job.chosen
        gamma = chosen["gamma"]
        n = round(4 * (chosen["peak"] - 50) / gamma)  # growth lasts until it has reached the peak
        return search.spec(dataset, gamma=gamma, n=n, keep=(chosen["final"],))

    def draw(rows: list[dict], counts: np.ndarray) -> None:
        job.picture = as_html(draw_search(search_asked(), rows, counts))

    def work(stop: threading.Event) -> str:
        rows, spec = list[dict](), search_asked()

        def tell() -> None:
            row = rows[-1]
            count = f"step {row['step']:,} of {row['steps']:,}"
            job.tell(row["step"], row["steps"], count)
            draw(rows[:], row["pixels"])

        throttle = Throttle(tell, seconds=0.4)

        def report(row: dict) -> None:
            rows.append(row)
            throttle()

        try:
            values = search.compute(**spec.arguments, report=report, stop=stop)
        finally:
            throttle.finish()
        kept = values["architectures"][f"{spec.keep[0]:g}"]
        draw(rows, count_by_pixel(kept["alive"]))
        return f"at {100 * spec.keep[0]:g} %: {100 * kept['accuracy']:.1f} % right (one seed)"

    job = Job("Grow and prune", work, choices, "stopped: nothing is kept of it")
    job.link.observe(lambda change: draw([], EMPTY), "state")
    draw([], EMPTY)
    return job


say_where_names_went(__name__)
