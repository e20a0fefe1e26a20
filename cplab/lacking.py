"""Notes which results a cell of a notebook looks for that are not trained yet, so that a button
below it can offer to train them (`cplab.lab.missing`).
"""

import threading
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

from cplab.measure import Measure

MISSING = "not trained yet"


class Lacking:
    """The results that one thread lacks, from now until another Lacking is made.

    A cell may show numbers of an earlier cell, which looked them up in vain. It lacks their results
    too, as soon as it reads them.

    Arguments: before, what the earlier cells lacked.

    Attributes:
        said: whether words stand in the place of a number, so that the reader sees it is missing.
        empty: the specs without any number, in order, as the keys of a dictionary.
        read: the specs of numbers that were read and are missing, in the same form.

    >>> cell = Lacking()
    >>> note_empty("a run")
    >>> cell.missing(), cell.said, missing_in_words(), cell.said
    ([('a run', ())], False, 'not trained yet', True)
    """

    latest: "Lacking | None" = None

    def __init__(self, before: "Lacking | None" = None) -> None:
        self.thread = threading.get_ident()
        self.said = False
        self.empty: dict[Hashable, None] = {}
        self.read: dict[Hashable, None] = {}
        # of this cell and all before it
        self.look_ups: dict[tuple[Hashable, str], LookUp] = before.look_ups if before else {}
        Lacking.latest = self

    def from_before(self) -> list[Any]:
        """The specs of missing numbers that an earlier cell looked up and this one reads. Even once
        they are trained, this cell shows them only after the earlier one has been run again."""
        return [spec for spec in self.read if spec not in self.empty]

    def missing(self) -> list[tuple[Any, Measure]]:
        """Each spec that lacks results, with what is to be measured on it."""
        pairs = []
        for spec in [*self.empty, *self.from_before()]:
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


def note_rows(specs: Iterable[Hashable]) -> None:
    """Note that no seed of some specs, which have their first seed, gave a row of numbers. A row
    cannot say later, when it is drawn, that it lacks something: so that counts as said."""
    cell = noting()
    if cell is not None:
        cell.empty |= dict.fromkeys(specs)
        cell.said = True


def note_read(specs: Iterable[Hashable]) -> None:
    """Note that a number is read which is missing. specs: whose results it lacks."""
    cell = noting()
    if cell is not None:
        cell.read |= dict.fromkeys(specs)


def missing_in_words() -> str:
    """The words in the place of a missing number."""
    cell = noting()
    if cell is not None:
        cell.said = True
    return MISSING
