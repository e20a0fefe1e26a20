"""What an output lacks: below it, a button that trains just that.

Numbers, figures and questions know which results they lack (`estimates.lacking_in`). Where one is
shown in a notebook, a line says which networks are missing, and which values have results instead.
"""

from __future__ import annotations

import html
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from IPython import get_ipython
from IPython.display import display

from cplab import results
from cplab.base.errors import CplabError
from cplab.estimates import Estimate, Lack, lacking_in
from cplab.lab.buttons.button import TrainButton, train_requests, will_train_here
from cplab.lab.questions.questions import Shown
from cplab.output.markup import bundle
from cplab.output.styles import label
from cplab.results import Request, rows, store
from cplab.results.duration import usual_time
from cplab.results.tables import write_several
from cplab.runs import Run
from cplab.runs.run import SEVERAL
from cplab.specs import Spec
from cplab.specs.experiments import Experiment

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

SEEDS = (0, 1, 2)  # of each network, which are trained
NAMED_VALUES = 8  # values of a field that are named
TRAIN_WORDS = "Train what is missing"
AGAIN = "Run this section's cells again, from its first one, to see what they are like."
PLACE_FIRST = ("length", "onset", "recovery", "deficit")  # what a student changes most


# What is missing ----------------------------------------------------------------------------------


def has_result(lack: Lack) -> bool:
    """Whether there is a result for one of the seeds, as there is once they are trained."""
    return any(results.find(lack.spec.with_seed(seed), lack.measure) for seed in SEEDS)


def reasons_against(missing: Iterable[Lack]) -> dict[Spec, str]:
    """Why some of what is missing cannot be trained, by its spec."""
    reasons = dict[Spec, str]()
    for lack in missing:
        try:
            if isinstance(lack.spec, Experiment):
                lack.spec.check_computable()
        except CplabError as error:
            reasons[lack.spec] = str(error)
    return reasons


def with_seeds(missing: Iterable[Lack]) -> list[Lack]:
    """Each seed of what is missing."""
    return [Lack(lack.spec.with_seed(seed), lack.measure) for lack in missing for seed in SEEDS]


def by_measure(missing: Iterable[Lack]) -> list[list[Lack]]:
    """What is missing, in groups on which the same is measured."""
    groups: dict[str, list[Lack]] = {}
    for lack in missing:
        groups.setdefault(repr(lack.measure), []).append(lack)
    return [*groups.values()]


# Values that have results -------------------------------------------------------------------------


FieldValue = str | int | float  # of a field
Fields = dict[str, Any]  # of a run, or the arguments of an experiment, by name


def fields_of(spec: Spec) -> Fields:
    """What describes a spec but for its seed, as its results have it in their columns."""
    fields = rows.run_columns(spec) if isinstance(spec, Run) else dict(spec.plain())
    fields.pop("seed", None)
    return fields


def fields_of_results(spec: Spec) -> list[Fields]:
    """The fields of all results of a spec's kind, shipped and live, as `fields_of` has them."""
    alike = []
    columns = ["kind", "version", "spec", *rows.RUN_COLUMNS]
    for row in store.archive().columns(columns).to_pylist():
        if (row["kind"], row["version"]) != (spec.address, spec.version):
            continue
        if isinstance(spec, Run):
            alike.append({name: row[name] for name in rows.RUN_COLUMNS})
        else:
            alike.append(json.loads(row["spec"]))
    for result in store.live_results(spec.address):
        alike.append(fields_of(result.spec))
    return alike


def trained_values(spec: Spec, trained: Iterable[Fields]) -> dict[str, set[FieldValue]]:
    """Values at which there are results, by the single field in which these differ from a spec.

    Arguments:
        spec: the run or the experiment.
        trained: the fields of all results of its kind.

    >>> run = Run("blur", length=7)
    >>> sorted(trained_values(run, fields_of_results(run))["length"])
    [2, 4, 8, 12, 16, 24]
    """
    sought = fields_of(spec)
    values: dict[str, set[FieldValue]] = defaultdict(set)
    for fields in trained:
        different = [name for name in sought if fields.get(name) != sought[name]]
        if len(different) != 1:
            continue
        [name] = different
        value = fields.get(name)
        if isinstance(value, str | int | float):
            values[name].add(as_given(name, value))
    return values


def as_given(field: str, value: FieldValue) -> FieldValue:
    """A value of a column as a run takes it: windows and treatments as one text.

    >>> as_given("treatments", '[["renorm", 1.0, 16, 0]]'), as_given("length", 8)
    ('renorm@16', 8)
    """
    return write_several(json.loads(str(value))) if field in SEVERAL else value


def nearest(values: set[FieldValue], sought: object) -> list[FieldValue]:
    """A few of some values, in order: if all are numbers, those that are nearest to `sought`.

    >>> nearest({0, 5, 10, 20}, sought=7)
    [0, 5, 10, 20]
    """
    numbers = [value for value in values if isinstance(value, int | float)]
    if not isinstance(sought, int | float) or len(numbers) < len(values):
        return sorted(values, key=str)[:NAMED_VALUES]
    by_distance = sorted(numbers, key=lambda number: abs(number - sought))
    return sorted(by_distance[:NAMED_VALUES])


def in_words(name: str, values: Sequence[FieldValue]) -> str:
    """Write values of a field as they are written in Python, and windows in words.

    >>> in_words("length", [2, 4, 8])
    'length = 2, 4 or 8'
    >>> in_words("windows", ["", "blank:left@8+12"])
    'no window or blank images, left view at epoch 8 for 12'
    """
    if name == "windows":
        begin = ""
        *earlier, last = [windows_in_words(str(value)) for value in values]
    else:
        begin = f"{name} = "
        *earlier, last = [repr(value) for value in values]
    return f"{begin}{', '.join(earlier)} or {last}" if earlier else f"{begin}{last}"


def windows_in_words(windows: str) -> str:
    """Write windows as a reader sees them: the deficit, its age and its epochs."""
    said = []
    for kind, onset, length in re.findall(r"(\S+)@(\d+)\+(\d+)", windows):
        said.append(f"{label(kind)} at epoch {onset} for {length}")
    return ", then ".join(said) or "no window"


def advice(missing: Sequence[Lack]) -> str:
    """A sentence with values at which all that is missing has results, by field; empty if there are
    none. Controls count only where nothing else is missing."""
    specs = [*dict.fromkeys(lack.spec for lack in missing)]
    specs = [spec for spec in specs if not is_control(spec)] or specs
    kinds = {spec.address: spec for spec in specs}
    trained = {address: fields_of_results(spec) for address, spec in kinds.items()}
    values = [trained_values(spec, trained[spec.address]) for spec in specs]
    sought = fields_of(specs[0])
    order = [*PLACE_FIRST, *(name for name in sought if name not in PLACE_FIRST)]
    fields = []
    for name in order:
        common = set.intersection(*(of_one.get(name, set()) for of_one in values))
        if common:
            fields.append(in_words(name, nearest(common, sought[name])))
    if not fields:
        return ""
    return f"There are results, all else being equal, for {'; '.join(fields[:3])}."


def is_control(spec: Spec) -> bool:
    """Whether a spec is a run without a deficit."""
    return isinstance(spec, Run) and not spec.length and not spec.windows


# The offer ----------------------------------------------------------------------------------------


def offer(lacking: Iterable[Lack]) -> TrainButton | Shown | None:
    """Offer a button that trains what is missing.

    Returns:
        what is shown below an output; None if nothing is missing.

    >>> offer([Lack(Run("blur", length=1, recovery=1, profile="ci"))]).words
    'Train what is missing'
    """
    lacking = [*lacking]
    missing = [lack for lack in lacking if not has_result(lack)]
    if not lacking:
        return None
    if not missing:  # trained since these numbers were computed
        words = f"These networks are trained now. {AGAIN}"
        return Shown(words, None, f"<p>{words}</p>")
    refused = reasons_against(missing)
    reasons = "".join(f"<p>{html.escape(reason)}</p>" for reason in dict.fromkeys(refused.values()))
    if len(refused) == len({lack.spec for lack in missing}):
        values = html.escape(advice(missing))
        return Shown("not trained yet", None, f"{reasons}<p>{values}</p>")
    missing = [lack for lack in missing if lack.spec not in refused]
    kinds = len({lack.spec for lack in missing})
    networks = f"{kinds} kinds of networks are" if kinds > 1 else "one kind of network is"
    lines = [f"Above, {networks} not trained yet."]
    if will_train_here():
        time = usual_time([lack.spec for lack in with_seeds(missing)])
        takes = f"usually takes {time}" if time else "takes as long as the first epochs will show"
        lines.append(f"Training seeds {', '.join(map(str, SEEDS))} of each {takes}.")
    lines.append(advice(missing))
    text = " ".join(lines).strip()
    above = f"{reasons}<p>{html.escape(text)}</p>{folded_calls(missing)}"
    if will_train_here():
        return button_for(with_seeds(missing), above)
    return Shown(text, None, above)


def folded_calls(missing: Iterable[Lack]) -> str:
    """The calls that would train what is missing, each once, in a fold, as HTML."""
    calls = dict.fromkeys(lack.spec.call() for lack in missing)
    items = "".join(f"<li><code>{html.escape(call)}</code></li>" for call in calls)
    return f"<details><summary>which</summary><ul>{items}</ul></details>"


def button_for(missing: Sequence[Lack], above: str) -> TrainButton:
    """A button that trains what is missing; above, HTML above it."""

    def work(stop: threading.Event) -> str:
        requests = []
        for group in by_measure(missing):
            specs = [lack.spec for lack in group]
            requests.append(Request(specs, group[0].measure, stop=stop))
        return f"trained in {train_requests(requests, button.tell)}. {AGAIN}"

    button = TrainButton(TRAIN_WORDS, work, above=above)
    return button


# In a notebook ------------------------------------------------------------------------------------


def show_with_offer(shown: Any) -> None:
    """Show something in a notebook and, below it, an offer to train what it lacks.

    Arguments:
        shown: an estimate, a figure, a question or a table.

    Raises:
        NotImplementedError: where it lacks nothing, so that IPython shows it as it shows all else.
    """
    below = offer(lacking_in(shown))
    if below is None:
        raise NotImplementedError
    if hasattr(shown, "_repr_html_"):
        display(bundle(repr(shown), shown._repr_html_()), raw=True)
    else:
        display({"text/plain": repr(shown)}, raw=True)
    display(below)


def offer_below_outputs(shell: InteractiveShell) -> None:
    """Let a notebook show offers below what lacks something. Types are named where their libraries
    are loaded late."""
    assert shell.display_formatter
    formatter = shell.display_formatter.ipython_display_formatter
    formatter.for_type(Estimate, show_with_offer)
    formatter.for_type(Shown, show_with_offer)
    formatter.for_type_by_name("cplab.show.base", "Figure", show_with_offer)
    for module in ("pandas", "pandas.core.frame"):  # since pandas 3, and before
        formatter.for_type_by_name(module, "DataFrame", show_with_offer)


if (_shell := get_ipython()) is not None and hasattr(_shell, "kernel"):  # in a notebook
    offer_below_outputs(_shell)
