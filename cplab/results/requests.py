"""Requests for results: what of them is trained, how far it is, and which functions are told.

    request = Request([cplab.Run("blur", 0, 8)], stop=stop)  # a threading.Event, which ends it
    request.listen(lambda request, news: ...)  # rows and results, as they are made
    for spec, result in request.train():  # in this thread
        ...

`cplab.run` and `cplab.sweep` are requests, too.
"""

import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import cplab.results.store as store
from cplab.base.errors import Cancelled, CplabError, Failed, quote, with_message
from cplab.engine import workers
from cplab.engine.sweep import Rows, train_all
from cplab.engine.tree import Context
from cplab.measure import Measure, Measures, parse_measures
from cplab.results.duration import count_epochs
from cplab.results.result import Result
from cplab.results.store import find
from cplab.runs import Run
from cplab.specs import Spec, check_spec
from cplab.specs.digest import Definition
from cplab.specs.experiments import Experiment
from cplab.specs.own import own_entries

# (spec, row of its curve) or (spec, Result)
News = list[tuple[Spec, dict[str, Any] | Result]]
Listener = Callable[["Request", News], object]


class Request:
    """Runs and experiments that somebody asks for.

    Arguments:
        specs: runs and experiments.
        measure: what is measured on them.
        fresh: whether no result counts that there is.
        training: how they are trained, see `Context`.

    Attributes:
        specs: those that are asked for.
        results: those that there are by now, {spec: Result}.
        missing: the specs that have none yet.
        epochs: that have to be trained in all, those that runs share once; an experiment is one.
        done: how many of them are trained.
        began: when the first of them was told, as time.monotonic() has it; None before.

    >>> request = Request([Run("blur", length=8)])
    >>> [result.source for result in request.results.values()], request.epochs
    (['shipped'], 0)
    """

    def __init__(
        self,
        specs: Iterable[Run | Experiment],
        measure: Measure = (),
        *,
        fresh: bool = False,
        **training: Any,
    ) -> None:
        self.context = Context(**training)
        self.specs, self.measures = check_specs(specs, measure)
        self.results, self.missing = look_up_all(self.specs, self.measures, fresh)
        self.fresh = fresh
        self.epochs = count_epochs(self.missing)
        self.done = 0
        self._listeners: list[Listener] = []
        self.began: float | None = None

    # Listeners ------------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> "Request":
        """Have a function called with this request and its news, which are rows and results, at
        most 30 times a second in all requests together."""
        self._listeners.append(listener)
        return self

    def hear(self, rows: Rows) -> None:
        """Count the epochs that were told, and tell the listeners."""
        trained = sum("epoch" in row for _, row in rows)
        if self.began is None:
            self.began = time.monotonic()
            # Each has trained one epoch by now; those before were in its checkpoint
            earlier = max(0, trained - len({spec for spec, _ in rows}))
            self.epochs -= earlier
            trained -= earlier
        self.done += trained
        self.tell([*rows])

    def tell(self, news: News) -> None:
        """Tell the listeners."""
        for listener in self._listeners:
            listener(self, news)

    # What is done ---------------------------------------------------------------------------------

    def train(self) -> Iterator[tuple[Any, Result]]:
        """Train what is missing, in this thread, and yield (spec, Result) as results are made.

        Raises:
            Cancelled.
            Failed or Diverged for one that failed, once all others are trained and kept.
            CplabError: for what concerns all of them.
        """
        if not self.missing:
            return
        workers.check_installed()
        failures: list[Failed] = []
        left = [*self.missing]
        while left:
            with claimed(left) as ours:  # what no other request trains
                left = [spec for spec in left if spec not in ours]
                if not ours and self.context.stop.wait(0.1):  # others train all that is left
                    raise Cancelled
                # Others may have trained some of it meanwhile
                results, to_train = look_up_all(ours, self.measures, self.fresh)
                for spec, result in results.items():
                    yield spec, self._have(spec, result)
                for spec, training in train_all(to_train, self.context, self.measures, self.hear):
                    if isinstance(training, Failed):
                        failures.append(training)
                    else:
                        yield spec, self._have(spec, keep_result(spec, training))
        if failures:
            raise_first(failures)

    def _have(self, spec: Spec, result: Result) -> Result:
        """Note a result, and tell the listeners."""
        self.results[spec] = result
        self.missing = [missing for missing in self.missing if missing != spec]
        self.tell([(spec, result)])
        return result


# Trees that are trained now, by what their runs share
_claimed = set[object]()
_claims = threading.Lock()


@contextmanager
def claimed(specs: Sequence[Run | Experiment]) -> Iterator[list[Any]]:
    """A context in which some specs are this request's, which it yields: those that no other is
    training. Runs that may share training go together."""
    trees: dict[object, list[Run | Experiment]] = defaultdict(list)
    for spec in specs:
        trees[spec.prefix_key].append(spec)
    with _claims:
        ours = {*trees} - _claimed
        _claimed.update(ours)
    try:
        yield [spec for shared, tree in trees.items() if shared in ours for spec in tree]
    finally:
        with _claims:
            _claimed.difference_update(ours)


# Specs and results --------------------------------------------------------------------------------


def check_specs(specs: Iterable[Any], measure: Measure) -> tuple[list[Any], Measures]:
    """Check specs and what is measured on them.

    Returns:
        a list of the specs, and when to take each measurement, by name.

    Raises:
        CplabError.
    """
    if isinstance(specs, str) or not isinstance(specs, Iterable):
        raise CplabError(f"{quote(specs)} is not allowed: give a list of runs")
    checked = [check_spec(spec) for spec in specs]
    measures = parse_measures(measure)
    if measures and any(isinstance(spec, Experiment) for spec in checked):
        raise CplabError(f"{', '.join(measures)} cannot be measured on experiments: give runs")
    if measures and checked:
        longest = max(spec.epochs for spec in checked)
        for name, when in measures.items():
            if not isinstance(when, str) and min(when) >= longest:
                raise CplabError(
                    f"{name} at {when} measures nothing: give epochs from 0 to {longest - 1}"
                )
    return checked, measures


def look_up_all(
    specs: Iterable[Any], measures: Measures, fresh: bool
) -> tuple[dict[Any, Result], list[Any]]:
    """Look up results of specs, each once.

    Returns:
        {spec: result}, and a list of the specs without a result. If `fresh`, no result counts, so
        that this list has all specs.
    """
    results = {}
    missing = []
    for spec in dict.fromkeys(specs):
        result = None if fresh else find(spec, measures)
        if result:
            results[spec] = result
        else:
            missing.append(spec)
    return results, missing


def raise_first(failures: Sequence[Failed]) -> NoReturn:
    """Raise the first of some errors, and say how many others there are."""
    first = failures[0]
    line = str(first)
    if len(failures) > 1:
        line += f" (and {len(failures) - 1} more)"
    failure = with_message(first, type(first), line)
    for line in first.student_lines:
        failure.add_note(line)  # which Python's own traceback shows
    raise failure from None  # the chain has the same sentence again, and a worker's own lines


def keep_result(spec: Spec, training: dict[str, Any]) -> Result:
    """Keep the result of a spec: in memory alone if it belongs to this session, since a student's
    own function has answered the same batch in two ways, or reads what no key can hold.

    Arguments:
        spec: the run or the experiment.
        training: the fields of its result.
    """
    is_steady = training.get("repeatable", True)
    if not is_steady:
        warnings.warn(
            f"{spec.call()} uses a function that gives other answers when it is asked again, as a "
            "clock does: its result belongs to this session",
            stacklevel=2,
        )
    own = own_definitions(spec, training)
    has_key = not any(definition.unknown for definition in own.values())
    return store.keep(make_result(spec, training), in_file=is_steady and has_key)


def make_result(spec: Spec, training: dict[str, Any] | Failed) -> Result:
    """Make the result of a spec, with the texts of students' own functions that it names.

    Arguments:
        spec: the run or the experiment.
        training: the fields of its result, or the error with which it ended.

    Raises:
        Failed: which is that error.
    """
    if isinstance(training, Failed):
        raise training
    own = {name: definition.text for name, definition in own_definitions(spec, training).items()}
    training = {name: value for name, value in training.items() if name != "repeatable"}
    return Result(spec, **training, commit=store.commit(), own=own)


def own_definitions(spec: Spec, training: dict[str, Any]) -> dict[str, Definition]:
    """Students' own functions by which a result was made, by name. Arguments as of
    `keep_result`."""
    text = " ".join([spec.canonical(), *training.get("measured", ())])
    return {entry.name: entry.own for entry in own_entries(text) if entry.own}
