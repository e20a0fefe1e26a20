"""Experiments: functions whose values are kept in the store, beside the results of runs.

What a study computes beyond the training of runs is written as a function that returns plain data:

    @experiment
    def search(dataset: str = "mnist", seed: Seed = 0, *, device: str = "auto") -> dict:
        ...

    search(seed=3)                            # its values: looked up, or computed and kept
    cplab.sweep([search.spec(seed=s) for s in range(10)])   # ten results, side by side

The key of a result is made of the function's name, its version, and those arguments that differ
from their defaults, so that a new argument leaves all keys as they were. The key of a student's own
is made of its code too (cplab.specs.digest). Arguments after the `*` say how it is computed, and
are not part of the key: device, stop (a threading.Event) and tell.
"""

from collections.abc import Callable, Hashable
from functools import partial, update_wrapper
from threading import Event
from typing import Any

from cplab.base.errors import whole
from cplab.results.api import sweep
from cplab.specs.experiments import FUNCTIONS, Experiment, ExperimentFunction
from cplab.specs.own import add_entry, entry_decorator

Stop = Event | None  # ends a computation early once it is set


class Function:
    """A function that `experiment` has decorated. Called, it looks its values up or computes them.

    Attributes:
        compute: the function itself, which looks nothing up and keeps nothing.
        options: as for `experiment`, and its module.
    """

    def __init__(self, compute: Callable[..., dict | None], options: dict[str, Any]) -> None:
        update_wrapper(self, compute)
        self.compute = compute
        self.options = options
        entry_decorator(ExperimentFunction, compute, options)

    @property
    def entry(self) -> ExperimentFunction:
        """The function with the values that it now reads outside itself.

        A student's own stays what it is then: what was described before a constant changed is
        computed with the old constant.
        """
        if self.compute.__module__.startswith("cplab."):
            return FUNCTIONS[self.compute.__name__]
        return add_entry(ExperimentFunction, self.compute)

    @property
    def address(self) -> str:
        """Where it is, module:name; for a student's own with its digest."""
        return self.entry.address

    def __reduce__(self) -> tuple[Any, ...]:
        # For another process, where its module is not imported
        return Function, (self.compute, self.options)

    def __call__(self, *args: Any, device: str = "auto", **kwargs: Any) -> dict[str, Any]:
        [result] = sweep([self.spec(*args, **kwargs)], progress=False, device=device)
        return result.values

    def spec(self, *args: Any, **kwargs: Any) -> Experiment:
        """Describe a call without computing it.

        Raises:
            CplabError: for what is not allowed.
        """
        return self.entry.spec(*args, **kwargs)


def experiment(
    function: Callable[..., dict | None] | None = None,
    *,
    version: int | None = None,
    shares: Callable[..., Hashable] | None = None,
    check: Callable[..., object] | None = None,
    table: bool = False,
) -> Any:
    """Make a function an experiment, whose values are kept: a decorator, with or without options,
    see the module.

    A student's own may draw from torch without a generator. Its argument `seed` then decides the
    random numbers, as after torch.manual_seed(seed), whatever other threads draw. The values and
    functions that it reads are part of its key.

    Arguments:
        version: raised by one whenever a change alters the values of the same arguments.
        shares: a function that takes the arguments by name, and returns what experiments that share
            training have in common, such as the search that they begin with.
        check: a function that takes them by name too, and raises a CplabError where they do not fit
            together.
        table: whether its results only ship: what computes them is elsewhere, and it has no body.

    >>> @experiment
    ... def thrown(dice: int, seed: int = 0) -> dict:
    ...     return {"sum": dice * 3.5}
    >>> thrown.spec(2, seed=1), thrown(2)
    (thrown.spec(dice=2, seed=1), {'sum': 7.0})
    """
    if function is None:
        return partial(experiment, version=version, shares=shares, check=check, table=table)
    options: dict[str, Any] = {"module": function.__module__}
    options |= {"shares": shares, "check": check, "table": table}
    if version is not None:
        options["version"] = whole("version", version, 1)
    return Function(function, options)
