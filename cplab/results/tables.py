"""The table of all runs."""

import json
from collections.abc import Iterable
from typing import Any

import cplab.results.store as store
from cplab.errors import one_of, require
from cplab.results.result import HOW, Result
from cplab.runs import CLEAR, LONGEST, SEVERAL, Run
from cplab.treatments import Treatment

COLUMNS = ("key", *store.RUN_COLUMNS, "accuracy", "seconds", *HOW, "source")


def table(results: Iterable[Result] | None = None, /, **wanted: object) -> Any:
    """A pandas DataFrame of the runs among these results, by default among all there are, or of
    those that have the wanted values of fields: key, the run's fields (windows and treatments
    written as they are given), accuracy, seconds, provenance and source. A key that is both shipped
    and live stands once, as shipped.

    >>> import cplab
    >>> len(cplab.table(profile="course", deficit="flip")) > 20
    True
    """
    import pyarrow as pa

    for name in wanted:
        one_of("field of a run", name, store.RUN_COLUMNS)
    names = ["kind", "version", *COLUMNS]
    given = [*(store.live_results() if results is None else results)]
    what = "{} are not all results: give results, as cplab.sweep returns them"
    require(all(isinstance(one, Result) for one in given), what, given)
    own = [store.flatten(result) | {"source": result.source} for result in given]
    shipped = store.archive().columns(names)
    tables = [shipped if results is None else shipped.slice(0, 0), pa.Table.from_pylist(own)]
    rows = pa.concat_tables(tables, promote_options="permissive").select(names)
    frame = rows.to_pandas().fillna({"source": "shipped"})
    frame = frame[(frame["kind"] == "Run") & (frame["version"] == Run.version)]
    frame = frame.drop_duplicates("key")[[*COLUMNS]]
    for name, value in store.run_columns(spelled(wanted)).items() if wanted else ():
        if name in wanted:
            frame = frame[frame[name].isna() if value is None else frame[name] == value]
    for name in SEVERAL:
        texts = {text: written(json.loads(text)) for text in frame[name].unique()}
        frame[name] = frame[name].map(texts)
    types = dict.fromkeys(("pace", "batch", "weight_decay", "accuracy", "seconds"), "float64")
    types |= dict.fromkeys(("onset", "length", "recovery", "seed", "skipped", "threads"), "int64")
    order = [n for n in store.RUN_COLUMNS if n not in ("pace", "batch", "weight_decay")]
    return frame.astype(types | {"augment": "bool"}).sort_values(order, ignore_index=True)


def spelled(wanted: dict[str, Any]) -> Run:
    """A run that has these values, each spelled as runs have it. The others are such that any
    deficit, window or treatment is allowed."""
    usual: dict[str, Any] = {"deficit": "blur", "length": int(wanted.get("deficit") != CLEAR)}
    usual |= {"onset": LONGEST // 3, "recovery": LONGEST // 3, "schedule": "paper"}
    usual |= {"model": "eyes"} if ":" in f"{wanted.get('deficit')}{wanted.get('windows')}" else {}
    return Run(**usual | wanted)


def written(several: list) -> str:
    """Windows or treatments of a run in one text, like blank@8+4, as they can be given."""
    windows = ("{}@{}+{}".format(*one) for one in several if len(one) == 3)
    return " ".join([*windows, *(Treatment(*one).words for one in several if len(one) == 4)])
