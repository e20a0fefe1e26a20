"""What maintainers do with results: add them to those that ship with the package, take them in from
another machine, check their files, and train one again."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cplab.base.errors import CplabError, quote
from cplab.base.files import atomic_file
from cplab.engine.sweep import train_all
from cplab.engine.tree import Context
from cplab.results import Result, store
from cplab.results.requests import make_result
from cplab.results.result import HOW, Outdated, join, outcome
from cplab.results.rows import flatten
from reproduction.studies import load_for

# The columns by which the rows of a shipped file are ordered
ORDER = ("kind", "profile", "dataset", "model", "spec", "deficit", "onset", "length", "key")


def ship(results: Iterable[Result], name: str) -> Path:
    """Add results to a shipped table, cplab/shipped/NAME.parquet, and return its path.

    Raises:
        CplabError: if a result is already shipped with other values.

    >>> ship([], "mine")
    Traceback (most recent call last):
    cplab.base.errors.CplabError: there is nothing to ship as 'mine': train some of it first
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not re.fullmatch(r"[\w-]{1,60}", name):
        raise CplabError(f"name {quote(name)} is not allowed: give a plain one, such as course")
    path = store.SHIPPED / f"{name}.parquet"
    earlier = store.archive()
    rows = {}  # by key
    for key, place in earlier.places.items():
        if place.file == path.name:
            rows[key] = earlier.row(key)
    for result in results:
        check_shippable(result, earlier)
        rows[result.key] = flatten(join(result, earlier.find(result.key)))
    if not rows:
        raise CplabError(f"there is nothing to ship as {name!r}: train some of it first")
    ordered = sorted(rows.values(), key=lambda row: [str(row[column]) for column in ORDER])
    with atomic_file(path) as partial:
        pq.write_table(
            pa.Table.from_pylist(ordered),
            partial,
            compression="zstd",
            compression_level=19,
            row_group_size=store.GROUP,
        )
    store.open_archive.cache_clear()
    return path


def check_shippable(result: Result, earlier: store.Archive) -> None:
    """Raise a CplabError if a result is of a user's own images, or shipped with other values."""
    if "@" in str(getattr(result.spec, "dataset", "")):  # as names of a user's own images have it
        raise CplabError(f"{result.key} is of images that others do not have: ship other results")
    shipped = earlier.find(result.key)
    if shipped and outcome(shipped) != outcome(result):
        raise CplabError(
            f"{result.key} is shipped in {earlier.places[result.key].file} with other values: "
            "leave it out, or remove that one first"
        )


class Merged(NamedTuple):
    """What became of the results of another cache."""

    new: int  # how many were added
    old: int  # how many were here already
    refused: list[str]  # a line for each file that was refused


def merge(paths: Path | str | Iterable[Path | str]) -> Merged:
    """Copy results of another cache; those that are here already stay.

    Arguments:
        paths: JSON files or folders of them.

    >>> merge([])
    Merged(new=0, old=0, refused=[])
    """
    new = 0
    old = 0
    refused: list[str] = []
    if isinstance(paths, str | Path):
        paths = [paths]
    for place in map(Path, paths):
        files = [place]
        if os.path.isdir(place):  # False, and no error, in a folder that may not be read
            files = sorted(place.rglob("*.json"))
        if not files:
            refused.append(f"{place}: there are no results in it")
        for path in files:
            try:
                if take_in(store.read_live(path)):
                    new += 1
                else:
                    old += 1
            except (OSError, ValueError) as error:
                refused.append(f"{path}: {error}")
    return Merged(new, old, refused)


def take_in(result: Result) -> bool:
    """Add a result of another cache to the live ones. It is left out if it is here already, and if
    training came to other numbers here.

    Returns:
        whether it was added.

    Raises:
        OSError.
    """
    measures = {name: tuple(epochs) for name, epochs in result.measured.items()}
    shipped = store.archive().find(result.key)
    if shipped and shipped.covers(measures):
        return False
    own = store.live_result(store.live_path(result.key))
    if own and own.covers(measures):
        return False
    if own and outcome(own) != outcome(result):
        return False
    store.write_live(join(result, own))
    return True


def verify() -> tuple[dict[str, int], list[str]]:
    """Read every shipped file and every live result, and change nothing.

    Returns:
        how many shipped and live results are sound, and how many live ones are unknown, being
        another version's or branch's; and a line for each live one that is damaged.

    >>> verify()[1]
    []
    """
    shipped = len(store.Archive(store.SHIPPED).places)
    counts = {"shipped": shipped, "live": 0, "unknown": 0}
    bad = []
    for path in store.live_paths():
        try:
            store.read_live(path)
            counts["live"] += 1
        except Outdated:
            counts["unknown"] += 1
        except (OSError, ValueError) as error:
            bad.append(f"live {path.name} is damaged: {error}")
    return counts, bad


def train_again(result: Result, device: str = "auto") -> tuple[str, Result]:
    """Train a result's spec again, and compare. Nothing is kept.

    Returns:
        a word and the new result. The word is `equal` if all values are, to the bit; `other` if
        they differ, but so does the machine, the images, the precision, the threads or torch; else
        `off`.

    >>> from cplab import run
    >>> train_again(run(profile="ci", recovery=1))[0]
    'equal'
    """
    load_for([result.spec])
    spec = result.spec.replace()  # a new object, which looks up anew what its fields name
    context = Context(device, workers=1)
    [(_, training)] = train_all([spec], context)
    again = make_result(spec, training)
    if outcome(result) == outcome(again):
        return "equal", again
    names = [name for name in HOW if name != "commit"]
    for name in names:
        if getattr(again, name) != getattr(result, name):
            return "other", again
    return "off", again
