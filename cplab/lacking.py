"""Results that were looked for but are not trained yet. They are noted while a cell runs, so that a
button can offer to train them (`cplab.lab.missing`).
"""

import threading
from collections.abc import Hashable
from typing import Any

MISSING = "not trained yet"


class Lacking:
    """What one thread lacks, from now on until another one is made.

    `said`: whether something was written in the place of a number, so that it can be seen.

    >>> cell = Lacking()
    >>> note_empty("a run")
    >>> cell.missing(), cell.said, missing_in_words(), cell.said
    ([('a run', ())], False, 'not trained yet', True)
    """

    latest: "Lacking | None" = None

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.said = False
        self.empty: dict[Hashable, None] = {}  # specs without any number
        self.looked_up: dict[tuple[Hashable, str], tuple[Any, bool]] = {}  # measures; anything?
        Lacking.latest = self

    def missing(self) -> list[tuple[Any, Any]]:
        """Each spec that lacks results, with what was to be measured on it."""
        pairs = []
        for spec in self.empty:
            measures = [
                measure
                for (looked_up, _), (measure, anything) in self.looked_up.items()
                if looked_up == spec and not anything
            ]
            pairs += [(spec, measure) for measure in measures or [()]]
        return pairs


def noting() -> Lacking | None:
    """Where this thread's lacks are noted, if they are."""
    latest = Lacking.latest
    return latest if latest and latest.thread == threading.get_ident() else None


def note_look_up(spec: Hashable, measure: Any, found: bool) -> None:
    """Note that a result of a spec (its first seed's, for all) was looked up, with measurements."""
    if (cell := noting()) is not None:
        key = (spec, repr(measure))
        _, before = cell.looked_up.get(key, (measure, False))
        cell.looked_up[key] = (measure, before or found)


def note_empty(spec: Hashable) -> None:
    """Note that a spec (its first seed's, for all) gave no number at all."""
    if (cell := noting()) is not None:
        cell.empty[spec] = None


def missing_in_words() -> str:
    """What stands in the place of a number that is missing."""
    if (cell := noting()) is not None:
        cell.said = True
    return MISSING
