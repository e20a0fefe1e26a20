"""Studies of the first format as specs of today.

A study was named by a line such as

    Split protocol=1 size=course first=14 second=36 seed=4

with all its fields, values as `str` gives them. Some classes and fields have other names now; what
a study holds is the same.

    python -m reproduction.migrate_studies FOLDER     says how many studies in a folder of old
                                                      Parquet files can be read
"""

import ast
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from cplab import specs
from cplab.pruning import KernelPruning, KernelSplit, OneShot, Pruned, Retraining, Search
from cplab.pruning.specs import SHAPES

CLASSES = {
    "Search": Search,
    "OneShot": OneShot,
    "Retraining": Retraining,
    "Pruned": Pruned,
    "Pruning": KernelPruning,
    "Split": KernelSplit,
}
FIELDS = {"Pruning": {"task": "material"}}  # other names of today
COPIES = {  # of the data sets, which the first format did not name
    "cifar10": "cifar10-jpeg",
    "mnist": "mnist-7736206c53fd",
    "fashion_mnist": "fashion_mnist-2e487a6c8912",
    "practice": "practice",
}


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """The class of a study and its fields, out of its canonical string.

    Raises: ValueError if it is none of protocol 1.

    >>> parse("Split protocol=1 size=course first=14 second=36 seed=4")
    ('Split', {'size': 'course', 'first': 14, 'second': 36, 'seed': 4})
    """
    kind, _, rest = text.partition(" ")
    # a name begins a field where no bracket is open: values may hold blanks and names of their own
    starts = [m for m in re.finditer(r"(?:^| )(\w+)=", rest) if depth(rest[: m.start()]) == 0]
    ends = [m.start() for m in starts[1:]] + [len(rest)]
    said = {m[1]: rest[m.end() : end] for m, end in zip(starts, ends, strict=True)}
    if kind not in CLASSES or said.pop("protocol", None) != "1":
        raise ValueError(f"this is no study of the first format: {text}")
    return kind, {name: value_of(each) for name, each in said.items()}


def depth(text: str) -> int:
    """How many brackets are open at the end of a text."""
    return sum(text.count(c) for c in "([") - sum(text.count(c) for c in ")]")


def value_of(text: str) -> Any:
    """What was printed: a number, True, None, a tuple, a spec as `repr` gives it, or a text."""
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return text
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLASSES:
        fields = {str(each.arg): ast.literal_eval(each.value) for each in node.keywords}
        return CLASSES[node.func.id](**fields)
    try:
        return ast.literal_eval(node)
    except ValueError:  # a bare word
        return text


def migrate(kind: str, fields: dict[str, Any], values: dict) -> tuple[Any, dict]:
    """The spec of a study, and its values.

    Raises: ValueError if a field was changed on the way, or the values are not those of the spec.

    >>> fields = {"size": "ci", "first": 2, "second": 3}
    >>> migrate("Split", fields, {"accuracy": 1, "curve": [0, 1]})[0].kernels
    (2, 3)
    """
    names = FIELDS.get(kind, {})
    given = {names.get(name, name): value for name, value in fields.items()}
    spec = CLASSES[kind](**given)
    for name, value in given.items():
        if name != "size" and getattr(spec, name) != value:
            raise ValueError(f"{kind} has {name} {getattr(spec, name)!r}, the study {value!r}")
    check_values(spec, values)
    return spec, values


def check_values(spec: Any, values: dict) -> None:
    """Raise ValueError unless values can be those of a spec."""
    if isinstance(spec, Search | OneShot):
        good = {*values["architectures"]} <= {f"{density:g}" for density in spec.keep}
        good &= len(values["steps"]) == len(values["accuracy"])
    elif isinstance(spec, Retraining):
        most = sum(a * b for a, b in SHAPES)
        good = values["curve"][-1] == values["accuracy"] and sum(values["counts"]) <= most
        good &= values["steps"][-1] == spec.steps and ("alive" in values) == (spec.kind == "set")
    elif isinstance(spec, Pruned):
        good = len(values["curve"]) == len(values["loss"]) == spec.epochs
        good &= ("end" in values["accuracy"]) == (spec.length > 0)
    elif isinstance(spec, KernelPruning):
        many = len(spec.size.training) + len(spec.size.removals)
        good = {len(column) for column in values.values()} == {many}
        good &= values["epochs"][-1] == spec.epochs
    else:
        good = values["curve"][-1] == values["accuracy"] and len(values["curve"]) == spec.epochs
    if not good:
        raise ValueError(f"these are not the values of {spec}")


def copy_of(spec: Any) -> str:
    """The copy of the data set that the shipped studies were computed from."""
    return COPIES[spec.dataset]


def main(folder: str) -> None:
    counts: Counter[str] = Counter()
    keys = set()
    for path in sorted(Path(folder).glob("*.parquet")):
        import pyarrow.parquet as pq

        for row in pq.read_table(path).to_pylist():
            old = json.loads(row["json"])
            spec, _ = migrate(*parse(old["spec"]), old["values"])
            if (
                specs.build_spec(type(spec).__name__, json.loads(json.dumps(specs.plain(spec))))
                != spec
            ):
                raise ValueError(f"{spec} is not read back as it was written")
            keys.add(specs.key(spec))
            counts[type(spec).__name__] += 1
    if len(keys) != sum(counts.values()):
        raise ValueError("two studies have one key")
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing is there")


if __name__ == "__main__":
    main(sys.argv[1])
