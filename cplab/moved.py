"""Says where names went that labs once used.

A student's copy of a lab stays as it is when the package is updated. So no name that labs use is
removed without an entry here: a cell of an old copy then ends with a clear line.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

from cplab.errors import CplabError

FRESH = (
    "This notebook is a copy of an earlier lab: `cplab lab --copy` puts a fresh one beside it, "
    "and keeps what you wrote"
)

# The present name for each former one; "" if nothing has taken its place
MOVED = {
    "cplab.LinearPath": "cplab.labs.lab09_path.linear_path",
    "cplab.lab.Fitting": "cplab.labs.lab01.through",
    "cplab.lab.Live": "cplab.lab.live",
    "cplab.lab.Ranking": "",
    "cplab.lab.Slide": "cplab.lab.slide",
    "cplab.lab.Switch": "cplab.lab.switch",
    "cplab.lab.choice": "cplab.lab.question",
    "cplab.lab.number": "cplab.lab.check",
    "cplab.lab.widgets": "cplab.lab",
    "cplab.labs.lab00.compared": "",
    "cplab.labs.lab00.known": "cplab.labs.lab00.own_images_right",
    "cplab.labs.lab01.fans": "cplab.labs.lab01.fan",
    "cplab.labs.lab01.shares": "cplab.labs.lab01.fractions_of_normal",
    "cplab.labs.lab02b.removal": "cplab.labs.lab02b.removal_and_rates",
    "cplab.labs.lab02b.worst": "cplab.labs.lab02b.worst_onset",
    "cplab.labs.lab03.LAB_02": "cplab.labs.lab03.in_three_blocks",
    "cplab.labs.lab03.misread": "cplab.labs.lab02.misread",
    "cplab.labs.lab03b.lives": "",
    "cplab.labs.lab04.by_layer": "cplab.labs.lab04.information_by_layer",
    "cplab.labs.lab04.filters": "cplab.labs.lab04.draw_filters",
    "cplab.labs.lab04.first_images": "cplab.labs.lab04.images_with_labels",
    "cplab.labs.lab04.left_of_trace": "cplab.labs.lab04.left",
    "cplab.labs.lab04.numbers": "cplab.labs.lab04.costs_and_traces",
    "cplab.labs.lab04b.SCORES": "",
    "cplab.labs.lab04b.last_loss": "",
    "cplab.labs.lab04b.part": "cplab.labs.lab04b.part_of_exact",
    "cplab.labs.lab04b.sharpness": "cplab.labs.lab04b.final_sharpness",
    "cplab.labs.lab05.accuracy_at": "cplab.labs.lab05.accuracy_at_density",
    "cplab.labs.lab05.border_share": "cplab.labs.lab05.on_border",
    "cplab.labs.lab05.images_at_hand": "cplab.lab.images_at_hand",
    "cplab.labs.lab05b.above_random": "cplab.labs.lab05b.above",
    "cplab.labs.lab05b.above_ratio": "cplab.labs.lab05b.above",
    "cplab.labs.lab05b.accuracy_at": "cplab.labs.lab05b.accuracy_at_moment",
    "cplab.labs.lab06.count": "cplab.labs.lab06.parameters",
    "cplab.labs.lab06.each_once": "",
    "cplab.labs.lab06.forest": "cplab.show.forest",
    "cplab.labs.lab06.table": "cplab.labs.lab06.costs",
    "cplab.labs.lab07.film": "",
    "cplab.labs.lab07.share_curve": "cplab.labs.lab07.share_by_epoch",
    "cplab.labs.lab08.draw_eyes": "cplab.labs.lab08.draw_rearing",
    "cplab.labs.lab08.grow": "cplab.labs.lab08.rear",
    "cplab.labs.lab08.share": "cplab.labs.lab08.kept",
    "cplab.labs.lab08.slide": "cplab.labs.lab08.move_eyes",
    "cplab.labs.lab09.four": "cplab.labs.lab09.draw_with_controls",
    "cplab.labs.lab09.gauged": "cplab.labs.lab09.gauge",
    "cplab.labs.lab09.middle": "cplab.labs.lab09.middle_growth",
    "cplab.labs.lab09.path": "cplab.labs.lab09_path.linear_path",
    "cplab.labs.lab09.rename": "cplab.labs.lab09.renaming_run",
    "cplab.measure.orientation": "cplab.labs.lab01.orientation",
    "cplab.measure.power_spectrum": "cplab.labs.lab03.power_spectrum",
    "cplab.measure.sampled_trace": "cplab.labs.lab04b.sampled_trace",
    "cplab.measure.trace": "cplab.measure.fisher.trace",
    "cplab.quantities.contrast": "",
    "cplab.quantities.information_shift": "cplab.labs.lab04_trace.information_shift",
    "cplab.quantities.kernel_split": "cplab.labs.lab05b.kernel_split",
    "cplab.quantities.layer_shares": "cplab.labs.lab04_trace.layer_shares",
    "cplab.quantities.peak_of": "cplab.labs.lab04_trace.peak_of",
    "cplab.quantities.plasticity_loss": "cplab.labs.lab05b.plasticity_loss",
    "cplab.quantities.random_splits_accuracy": "cplab.labs.lab05b.split_accuracy",
    "cplab.quantities.reading": "",
    "cplab.quantities.trace_at": "cplab.labs.lab04_trace.trace_at",
    "cplab.quantities.trace_by_layer": "cplab.labs.lab04_trace.trace_by_layer",
    "cplab.quantities.trace_curve": "cplab.labs.lab04_trace.trace_curve",
    "cplab.quantities.trace_peak": "cplab.labs.lab04_trace.trace_peak",
    "cplab.show.display": "IPython.display.display",
    "cplab.show.seed_curves": "cplab.show.clear_epochs",
    "cplab.show.time_bars": "cplab.labs.lab02.time_bars",
    "cplab.statistics.choose": "",
    "cplab.statistics.correlation": "scipy.stats.pearsonr",
    "cplab.statistics.describe_ratio": "",
    "cplab.table": "cplab.results_table",
}

# The same for whole modules
MODULES = {
    "cplab.fits": "cplab.labs.lab01",
    "cplab.lab.widgets": "cplab.lab",
    "cplab.labs.lab01_filters": "cplab.labs.lab01",
    "cplab.labs.lab05b_kernels": "cplab.labs.lab05b",
    "cplab.labs.lab05b_weights": "cplab.labs.lab05b",
    "cplab.studies": "cplab.labs",
}


def where(name: str, now: str) -> CplabError:
    """The error for a former name.

    Arguments: name; now, its present name, or "".
    """
    place = f"{name} is {now} now" if now else f"{name} is no longer there"
    return CplabError(f"{place}. {FRESH}")


def say_where_names_went(module: str) -> None:
    """Make a module raise an error that says where a name went if it once had it.

    >>> from cplab import show
    >>> show.time_bars
    Traceback (most recent call last):
    cplab.errors.CplabError: cplab.show.time_bars is cplab.labs.lab02.time_bars now. ...
    """

    def __getattr__(name: str) -> Any:
        former = f"{module}.{name}"
        if former in MOVED:
            raise where(former, MOVED[former])
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    # It is set from here so that type checkers still know which names the module has
    sys.modules[module].__dict__["__getattr__"] = __getattr__


class FormerModules(MetaPathFinder):
    """A finder that says where a module went which no other finder has found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Raise a CplabError for a former module; find no other."""
        if fullname in MODULES:
            raise where(fullname, MODULES[fullname])


sys.meta_path.append(FormerModules())
