"""Notes which results a cell of a notebook looks for that are not trained yet, so that a button
below it can offer to train them (`cplab.lab.missing`).
"""

import threading
from collections.abc import Hashable
from typing import Any, NamedTuple

from cplab.measure import Measure

MISSING = "not trained yet"


class Lacking:
    """The results that one thread lacks, from now until another Lacking is made.

    Attributes:
        said: whether words stand in the place of a number, so that the reader sees that it lacks.

    >>> cell = Lacking()
    >>> note_empty("a run")
    >>> cell.missing(), cell.said, missing_in_words(), cell.said
    ([('a run', ())], False, 'not trained yet', True)
    """

    latest: "Lacking | None" = None

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.said = False
        self.empty: dict[Hashable, None] = {}  # an ordered set of specs without any number
        self.look_ups: dict[tuple[Hashable, str], LookUp] = {}
        Lacking.latest = self

    def missing(self) -> list[tuple[Any, Measure]]:
        """Each spec that lacks results, with what is to be measured on it."""
        pairs = []
        for spec in self.empty:
            measures = []
            for look_up in self.look_ups.values():
                if look_up.spec == spec and not look_up.succeeded:
                    measures.append(look_up.measure)
            for measure in measures or [()]:
                pairs.append((spec, measure))
        return pairs


class LookUp(NamedTuple):
    """That a result was looked up."""

    spec: Hashable  # with its first seed
    measure: Measure  # what the result must have
    succeeded: bool  # whether any seed had one


def noting() -> Lacking | None:
    """Where this thread notes what it lacks; None if it does not."""
    latest = Lacking.latest
    return latest if latest and latest.thread == threading.get_ident() else None


def note_look_up(spec: Hashable, measure: Measure, succeeded: bool) -> None:
    """Note that a result was looked up.

    Arguments: spec, with its first seed, which stands for all; measure, what the result must have;
        succeeded, whether there was one.
    """
    cell = noting()
    if cell is None:
        return
    key = (spec, repr(measure))
    if key in cell.look_ups:
        succeeded = succeeded or cell.look_ups[key].succeeded
    cell.look_ups[key] = LookUp(spec, measure, succeeded)


def note_empty(spec: Hashable) -> None:
    """Note that no seed of a spec, which has its first seed, gave a number."""
    cell = noting()
    if cell is not None:
        cell.empty[spec] = None


def missing_in_words() -> str:
    """The words in the place of a missing number."""
    cell = noting()
    if cell is not None:
        cell.said = True
    return MISSING
