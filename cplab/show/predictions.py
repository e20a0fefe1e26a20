"""What a student predicted beside what was measured."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, Range1d
from bokeh.plotting import figure

from cplab import quantities, results, statistics
from cplab.runs import Run
from cplab.show.theme import EQUAL, LIVE, percent_axis, place_legend, plain_figure

TRUTH = "#0072B2"


def guess_figure(
    guess: Mapping[str, float],
    truth: Mapping[str, tuple[float, float]],
    quantity: str = "final test accuracy",
    **options: Any,
) -> figure:
    """What was predicted (hollow), fractions 0 to 1, and what was measured (filled, with
    its interval): (mean, half) of each name that is known."""
    names = list(guess)
    fig = plain_figure("", quantity, "", y_range=FactorRange(*names[::-1]), **options)
    hollow = {"fill_alpha": 0, "line_width": 2, "size": 13}
    values = list(guess.values())
    fig.scatter(values, names, color=LIVE.colour, legend_label="your guess", **hollow)
    return add_measured(fig, truth, [*truth], size=9)


def add_measured(fig: figure, truth: Mapping, places: Sequence, size: int) -> figure:
    """A figure with what was measured, (mean, half) by name, at these places of its y axis."""
    if truth:
        band = statistics.band_columns(*zip(*truth.values(), strict=True))
        how: dict[str, Any] = {"source": ColumnDataSource({"y": places, **band}), "color": TRUTH}
        fig.scatter("mean", "y", size=size, marker="square", legend_label="measured", **how)
        # a glyph, for which the axis makes room
        fig.segment("low", "y", "high", "y", line_width=2, **how)
    percent_axis(fig.xaxis)
    return place_legend(fig, "above")


def rank_by_mean(truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those of which any accuracies are known, the best on average first."""
    known = {name: values for name, values in truth.items() if len(values)}
    return dict(sorted(known.items(), key=lambda one: -one[1].mean()))


def order_figure(
    order: Sequence[str], truth: Mapping[str, np.ndarray], hues: Mapping[str, str], **options: Any
) -> figure:
    """A guessed order, from best to worst, beside the measured one, each name joined to itself;
    what has no accuracies by seed has no place on the right."""
    measured = rank_by_mean(truth)
    ranges = {"x_range": Range1d(-0.9, 2.1), "y_range": Range1d(len(order), -1)}
    fig = plain_figure("", "", "", **{**ranges, **options})
    look = {"text_baseline": "middle", "text_font_size": "13px"}
    for x, words, align in ((0, "your order", "right"), (1, "measured", "left")):
        fig.text([x], [-0.6], [words], text_align=align, text_color=EQUAL.colour, **look)
    for place, text in enumerate(order):
        fig.scatter([0], [place], size=12, color=LIVE.colour, fill_alpha=0, line_width=2)
        fig.text([-0.06], [place], [text], text_align="right", **look)
        if text in measured:
            end, hue = [*measured].index(text), hues[text]
            number = statistics.percent(*statistics.mean_and_half(measured[text]))
            fig.line([0, 1], [place, end], color=hue, line_width=3, alpha=0.8)
            fig.scatter([1], [end], size=10, color=hue)
            fig.text([1.06], [end], [f"{text}: {number} %"], text_align="left", **look)
    fig.axis.visible = fig.grid.visible = False
    return fig


def class_guesses(
    guesses: Mapping[str, Sequence[float]],
    truth: Mapping[str, tuple[float, float]],
    title: str,
    quantity: str,
) -> figure:
    """Everybody's guesses of each quantity (hollow, equal ones above each other), and what was
    measured (filled, with its interval)."""
    names = list(guesses)
    size: dict[str, Any] = {"width": 620, "height": 90 + 70 * len(names)}
    fig = plain_figure(title, quantity, "", y_range=FactorRange(*names[::-1]), **size)
    for name, values in guesses.items():
        seen, places = Counter[float](), []
        for value in values:
            seen[value] += 1
            places.append((name, min(0.45, 0.1 * seen[value])))
        look = {"fill_alpha": 0, "size": 9, "color": LIVE.colour}
        fig.scatter(list(values), places, legend_label="guesses", **look)
    return add_measured(fig, truth, [(name, -0.1) for name in truth], size=10)


def class_orders(
    orders: Sequence[Sequence[str]], truth: Mapping[str, np.ndarray], title: str
) -> figure:
    """How many gave each its place (circles, as large as the share), and the measured place."""
    measured = [*rank_by_mean(truth)]
    names = [*measured, *(name for name in orders[0] if name not in measured)]
    places = [str(place + 1) for place in range(len(names))]
    how: dict[str, Any] = {"width": 620, "height": 110 + 44 * len(names)}
    how |= {"x_range": FactorRange(*places), "y_range": FactorRange(*names[::-1])}
    fig = plain_figure(title, "place, from best to worst", "", **how)
    counts = Counter(given for order in orders for given in zip(places, order, strict=True))
    for (place, name), count in counts.items():
        large = 8 + 26 * (count / len(orders)) ** 0.5
        look = {"fill_alpha": 0.2, "color": LIVE.colour, "legend_label": "guesses"}
        fig.scatter([place], [name], size=large, **look)
        look = {"text_align": "center", "text_baseline": "middle", "text_font_size": "11px"}
        fig.text([place], [name], [str(count)], **look)
    look = {"marker": "square", "fill_alpha": 0, "line_width": 2, "color": TRUTH}
    fig.scatter(places[: len(measured)], measured, size=36, legend_label="measured", **look)
    return place_legend(fig, "above")


def class_choices(counts: Mapping[str, int], title: str) -> figure:
    """How many chose each answer."""
    names = list(counts)
    ends = Range1d(0, max(1, *counts.values()) * 1.1)
    how: dict[str, Any] = {"width": 760, "height": 80 + 40 * len(names)}
    how |= {"x_range": ends, "y_range": FactorRange(*names[::-1])}
    fig = plain_figure(title, "students", "", **how)
    fig.hbar(names, right=list(counts.values()), height=0.6, color=LIVE.colour, alpha=0.6)
    return fig


def percent_interval(what: Any, none: str = "not trained") -> str:
    """Mean and interval of accuracies, of a Run or as they are given; so many as there are."""
    if numbers := accuracies(what):
        return f"{statistics.percent(*statistics.mean_and_half(numbers))} %"
    return f"{none} yet"


def all_seeds(*runs: Any, measure: Any = ()) -> list[results.Result]:
    """The results of runs, all seeds that there are, with these measurements."""
    known = [run for run in runs if isinstance(run, Run)]
    wanted = (replace(run, seed=seed) for run in known for seed in quantities.SEEDS)
    return [found for run in wanted if (found := results.find(run, measure))]


def accuracies(what: Any) -> list[float]:
    return [one.accuracy for one in all_seeds(what)] if isinstance(what, Run) else list(what)
