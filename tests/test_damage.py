"""Damaged and hostile files: never a wrong number, never a traceback, never another's code.

$CPLAB_DAMAGES says how many damages are tried of each kind of file, 40 where it is not set.
"""

import json
import os
import random
import shutil
import socket
import struct
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import digits, forget_lookups
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cplab
from cplab import cli, data
from cplab.checks import Cancelled, CplabError
from cplab.engine import checkpoints
from cplab.results import ask, store, tables
from cplab.results.store import ResultWarning, without_times
from cplab.runs import Run

pytestmark = pytest.mark.usefixtures("small_mnist", "one_thread")

TRIES = int(os.environ.get("CPLAB_DAMAGES", 40))
RUN = Run("blur", 1, 2, 1, profile="ci", dataset="mnist", model="fc-20")
RUNS = [RUN, RUN.equal_training(), replace(RUN, deficit="noise", seed=1)]
FUZZ = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
HOW = {"device": "cpu"}
SWEEP = {"progress": False, "workers": 1, "device": "cpu"}


@pytest.fixture(scope="session")
def made(elsewhere):
    """Results of three runs, trained once for all tests."""
    return elsewhere(lambda: ask.sweep(RUNS, **SWEEP))[0]


@pytest.fixture
def empty(nothing_shipped):
    """Nothing is shipped."""


def damage(good, rng, other=b""):
    """(kind, bytes): some bits flipped, cut off, a part zeroed or written over, another file."""
    kind, size = rng.choice(["flip", "flip", "flips", "cut", "zeros", "moved", "swap"]), len(good)
    found = bytearray(good)
    if kind in ("flip", "flips"):
        for _ in range(1 if kind == "flip" else rng.randrange(2, 20)):
            found[rng.randrange(size)] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        found = found[: rng.randrange(size)]
    elif kind == "swap":
        found = bytearray(other)
    else:
        at, length = rng.randrange(size), rng.randrange(1, 4096)
        part = bytes(length) if kind == "zeros" else good[rng.randrange(size) :][:length]
        found[at : at + length] = part[: size - at]
    return kind, bytes(found)


def look(call):
    """What a call gives, and whether it warned; it may raise nothing."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = call()
    assert {w.category for w in said} <= {ResultWarning}
    return found, bool(said)


def forget():
    for each in (*store.CACHES, tables.live_entry):
        each.cache_clear()


def report(what, outcomes):
    print(f"{what}: {sum(outcomes.values())} damages, {dict(outcomes)}")


def same(one, other):
    return without_times(one.values) == without_times(other.values)


# Random damage ------------------------------------------------------------------------------------


def test_damaged_live_results_are_never_believed(made, empty):
    rng, outcomes = random.Random(1), Counter()
    path, other = store.live_path(RUN.key), store.live_path(made[1].key)
    store.keep(made[0])
    store.keep(made[1])
    good, theirs = path.read_bytes(), other.read_bytes()
    for _ in range(TRIES):
        kind, bad = damage(good, rng, theirs)
        path.write_bytes(bad)
        forget()
        counted, named = store.verify()
        found, warned = look(lambda: store.find(RUN))
        outcomes[kind, "kept" if found else "set aside"] += 1
        if found:
            assert found == made[0]
            assert (counted["live"], named) == (2, [])
        else:
            assert warned
            assert not path.exists()
            assert path.with_suffix(".json.damaged").read_bytes() == bad
            assert counted["live"] == 1
            assert len(named) == 1
        rows = look(tables.table)[0]
        assert {*rows["accuracy"]} <= {r.accuracy for r in made}
    assert store.find(made[1].spec) == made[1]
    path.unlink(missing_ok=True)
    assert same(cplab.run(RUN, **HOW), made[0])
    report("live results", outcomes)


def test_damaged_shipped_files_are_left_out(made, nothing_shipped):
    store.ship(made[:2], "some")
    store.ship(made[2:], "others")
    files = [nothing_shipped / name for name in ("some.parquet", "others.parquet")]
    good, rng, outcomes = {path: path.read_bytes() for path in files}, random.Random(3), Counter()
    for _ in range(TRIES):
        path, other = rng.sample(files, 2)
        kind, bad = damage(good[path], rng, good[other])
        path.write_bytes(bad)
        forget()
        found, warned = look(lambda: [store.find(run) for run in RUNS])
        for one, right in zip(found, made, strict=True):
            assert one is None or replace(one, source="live") == right
        assert warned or all(found) or kind == "swap"
        assert all(found) or store.verify()[1] or kind == "swap"
        outcomes["whole" if all(found) else "left out"] += 1
        path.write_bytes(good[path])
    report("shipped files", outcomes)


def test_damaged_checkpoints_are_trained_again(made, empty, own_cache, stop_after, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", -1)
    with pytest.raises(Cancelled):
        cplab.run(RUN, stop=stop_after(8), **HOW)
    [path] = (own_cache / "checkpoints").glob("*")
    good, rng, outcomes = path.read_bytes(), random.Random(4), Counter()
    for _ in range(TRIES):
        kind, bad = damage(good, rng, b"")
        path.write_bytes(bad)
        begun = []
        result, _ = look(
            lambda begun=begun: cplab.run(RUN, report=lambda _, r: begun.append(r), **HOW)
        )
        assert same(result, made[0])
        outcomes[kind, "gone on" if begun[0]["epoch"] else "trained again"] += 1
        shutil.rmtree(store.live_path("").parent)
        shutil.rmtree(path.parent)
        path.parent.mkdir()
    report("checkpoints", outcomes)


def header(said, length=None):
    """A safetensors file of a header alone."""
    text = json.dumps(said).encode()
    return struct.pack("<Q", length or len(text)) + text


TERABYTES = {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}


@pytest.mark.parametrize(
    "content",
    [
        header({"x": TERABYTES}),
        header({"x": TERABYTES}, 2**60),
        header({"__metadata__": {"rows": "[" * 10**5, "digest": "0"}}),
        header([]),
        b"",
    ],
    ids=["terabytes", "a long header", "nested rows", "no table", "nothing"],
)
def test_a_checkpoint_that_claims_anything_is_trained_over(
    made, empty, own_cache, stop_after, monkeypatch, content
):
    monkeypatch.setattr(checkpoints, "SECONDS", -1)
    with pytest.raises(Cancelled):
        cplab.run(RUN, stop=stop_after(8), **HOW)
    for path in (own_cache / "checkpoints").glob("*"):
        path.write_bytes(content)
    assert same(cplab.run(RUN, **HOW), made[0])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_data_files_give_their_images_or_one_line(small_mnist, save):
    save(small_mnist, **digits(30, 20), copy="small")
    good, rng, outcomes = small_mnist.read_bytes(), random.Random(5), Counter()
    right, lines = data.images("mnist", "ci"), []
    for _ in range(TRIES):
        kind, bad = damage(good, rng, b"no zip")
        small_mnist.write_bytes(bad)
        forget_lookups()
        try:
            found = data.images("mnist", "ci")
        except CplabError as error:
            lines.append(str(error))
            outcomes[kind, "refused"] += 1
        else:
            same_images = all(
                getattr(found, name).equal(getattr(right, name)) for name in data.ARRAYS
            )
            assert same_images
            outcomes[kind, "read"] += 1
    assert not any("\n" in line for line in lines)
    report(f"data files of {save.__name__}", outcomes)


def test_damaged_directories_are_merged_without_what_is_damaged(made, empty, own_cache, tmp_path):
    rng, outcomes = random.Random(6), Counter()
    for result in made:
        store.keep(result)
    theirs = tmp_path / "theirs"
    shutil.move(own_cache / "results", theirs)
    good = {path: path.read_bytes() for path in theirs.glob("*.json")}
    for _ in range(TRIES):
        path, other = rng.sample(sorted(good), 2)
        kind, bad = damage(good[path], rng, good[other])
        path.write_bytes(bad)
        (new, old, refused), _ = look(lambda: store.merge([theirs]))
        assert (new + len(refused), old) == (3, 0)
        assert all(path.name in line for line in refused)
        assert [*ask.every_result()] == sorted(ask.every_result(), key=lambda r: r.key)
        assert all(result in made for result in ask.every_result())
        outcomes[kind, "refused" if refused else "taken in"] += 1
        path.write_bytes(good[path])
        shutil.rmtree(own_cache / "results")
    report("merged directories", outcomes)


# Well signed, and nonsense ------------------------------------------------------------------------


def signed(said):
    """A file's text with a checksum that fits."""
    text = json.dumps(said)
    row = {"key": said.get("key"), "kind": said.get("kind"), "json": text}
    return json.dumps(row | {"checksum": store.checksum(text)})


def places(said, path=()):
    """The paths of all values in plain data."""
    yield path
    if isinstance(said, dict | list):
        for name in said if isinstance(said, dict) else range(len(said)):
            yield from places(said[name], (*path, name))


def with_value(said, path, value):
    """A copy of plain data with another value at a path."""
    if not path:
        return value
    found = json.loads(json.dumps(said))
    inner = found
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return found


NONSENSE = (
    None,
    True,
    -1,
    7.5,
    1e400,
    float("nan"),
    2**70,
    "",
    "<img src=x>",
    "a\nb",
    [],
    {},
    [[]],
)
NONSENSE += ({"kind": "Run"}, "x" * 10_000, [None] * 3, {"x": {"y": []}})

KINDS = ("Run", "Pruned", "KernelPruning", "KernelSplit", "Search", "OneShot", "Retraining")


def use(result):
    """What is done with any result that is believed."""
    repr(result)
    json.dumps(result.plain())
    tables.entry_of(result)
    for name in result.values:
        float(np.size(result.values[name]))
    if isinstance(result.spec, Run):
        assert 0 <= result.accuracy <= 1
        assert np.isfinite(result.series("test_accuracy")).all()
        result.series("trace"), result.final("trace")
        assert result.covers({"trace": "every"}) in (True, False)


def shipped_of(kind):
    return next(ask.every_result(kind, "shipped"))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=TRIES, **FUZZ)
@given(choice=st.data())
def test_signed_nonsense_is_refused_or_harmless(kind, choice):
    """One value of a shipped result is another, and the checksum fits."""
    result = shipped_of(kind)
    said = json.loads(json.dumps(replace(result, source="live").plain()))
    path = choice.draw(st.sampled_from(sorted(places(said), key=repr)))
    value = choice.draw(st.sampled_from(NONSENSE))
    changed = with_value(said, path, value)
    target = store.live_path(result.key)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(signed(changed) if isinstance(changed, dict) else json.dumps(changed))
    with suppress(ValueError):
        use(store.read_file(target))
    target.unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threads": 10**6}, "threads"),
        ({"threads": True}, "threads"),
        ({"seconds": float("nan")}, "seconds"),
        ({"copy": "<img\nsrc=x>"}, "copy"),
        ({"copy": "x" * 300}, "copy"),
        ({"own": {"f@0123abcd": 3}}, "own"),
        ({"own": {"f@0123abcd": "def f(): pass"}}, "f@0123abcd"),
        (
            {"measured": {"trace": {"0": {"trace": ["high"], "log_det": 1.0, "seconds": 1.0}}}},
            "trace",
        ),
        ({"measured": {"trace": {"0": 5}}}, "trace"),
        ({"measured": {"norm": {"99": 1.0}}}, "norm"),
        ({"measured": {"norm": {"0": [float("inf")]}}}, "norm"),
        ({"more": 1}, "more"),
        ({"kind": "KernelSize", "spec": {}}, "cannot be read"),
    ],
    ids=str,
)
def test_nonsense_is_named(made, empty, change, words):
    path = store.live_path(RUN.key)
    path.parent.mkdir(parents=True)
    path.write_text(signed(json.loads(json.dumps(made[0].plain())) | change))
    [line] = store.verify()[1]
    assert words in line
    with pytest.warns(ResultWarning, match="aside"):
        assert store.find(RUN) is None


@settings(max_examples=2 * TRIES, **FUZZ)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["key", "kind", "json", "checksum", "spec", "values"]), inner, max_size=4),
    max_leaves=8,
))  # fmt: skip
def test_any_json_is_refused_in_one_line(said):
    for text in (json.dumps(said), signed({"key": "0" * 16, "kind": "Run", "spec": said})):
        with pytest.raises(ValueError, match=r"\w"):
            store.parse(json.loads(text), "live")


# Hostile files ------------------------------------------------------------------------------------


def test_links_devices_and_giants_are_no_results(made, empty, own_cache, tmp_path, capsys):
    theirs, results = tmp_path / "theirs", own_cache / "results"
    store.keep(made[0])
    shutil.move(results, theirs)
    real = tmp_path / "elsewhere.json"
    shutil.move(theirs / f"{RUN.key}.json", real)
    (theirs / f"{RUN.key}.json").symlink_to(real)
    os.mkfifo(theirs / "0000000000000000.json")
    with (theirs / "1111111111111111.json").open("wb") as giant:
        giant.truncate(2**30)  # a gibibyte that takes no room
    (theirs / "2222222222222222.json").mkdir()
    (theirs / "more").symlink_to(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(theirs / "3333333333333333.json"))
    new, old, refused = store.merge([theirs])
    assert (new, old, len(refused)) == (0, 0, 5)
    assert "link" in next(line for line in refused if RUN.key in line)
    assert "bytes" in next(line for line in refused if "1111" in line)
    assert cli.main(["results", "merge", str(theirs)]) == 2
    assert "0 results taken in" in capsys.readouterr().out
    shutil.copytree(theirs, results, symlinks=True, ignore=shutil.ignore_patterns("0000*", "3333*"))
    assert look(lambda: store.find(RUN))[0] is None
    assert len(look(store.verify)[0][1]) == 3
    assert look(tables.table)[0].empty
    assert same(cplab.run(RUN, **HOW), made[0])
    assert real.exists()
    assert not (results / f"{RUN.key}.json").is_symlink()


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "", "/tmp/x", "x.parquet", "a b", "x" * 99])
def test_nothing_is_shipped_outside_its_directory(made, nothing_shipped, tmp_path, name):
    with pytest.raises(CplabError, match="name"):
        store.ship(made, name)
    assert not nothing_shipped.exists()


def test_a_merged_result_is_written_under_its_key_alone(made, empty, own_cache, tmp_path):
    said = json.loads(json.dumps(made[0].plain())) | {"key": "../../../evil"}
    path = tmp_path / "evil.json"
    path.write_text(signed(said))
    assert store.merge([path])[0] == 0
    assert not [*own_cache.rglob("*evil*")]


@pytest.mark.parametrize("what", ["json", "row"])
def test_what_is_nested_deeply_is_refused(made, empty, what):
    path = store.live_path(RUN.key)
    path.parent.mkdir(parents=True)
    deep = "[" * 200_000 + "]" * 200_000
    row = {**made[0].row(), "json": deep, "checksum": store.checksum(deep)}
    path.write_text(deep if what == "row" else json.dumps(row))
    assert store.merge([path])[0] == 0
    with pytest.warns(ResultWarning, match="aside"):
        assert store.find(RUN) is None


def test_another_s_code_stays_text(made, empty, tmp_path):
    """Source in a result is not run by finding, listing, merging or showing it."""
    evil = f"open({str(tmp_path / 'ran')!r}, 'w')\n\ndef occlude(x, y):\n    return x, y"
    name = f"occlude@{store.checksum(evil)[:8]}"
    run = replace(RUN, deficit=name)
    theirs = tmp_path / f"{run.key}.json"
    theirs.write_text(json.dumps(replace(made[0], spec=run, own={name: evil}).row()))
    assert store.merge([theirs])[0] == 1
    found = store.find(run)
    assert found.own == {name: evil}
    assert tables.table()["deficit"].tolist() == [name]
    assert store.verify()[1] == []
    with pytest.raises(CplabError, match="not defined here"):
        cplab.run(run, fresh=True, **HOW)
    assert not (tmp_path / "ran").exists()


class Bomb:
    """What unpickling runs."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_data_set_runs_no_code(small_mnist, tmp_path):
    hostile = {}
    arrays = digits(30, 20)
    hostile["pickle"] = arrays | {"train_x": np.array([Bomb(tmp_path / "ran")], dtype=object)}
    hostile["copy"] = arrays | {"copy": np.array(Bomb(tmp_path / "ran"), dtype=object)}
    for each in hostile.values():
        np.savez(small_mnist, **each)
        forget_lookups()
        with pytest.raises(CplabError, match="damaged"):
            data.images("mnist", "ci")
    assert not (tmp_path / "ran").exists()


def test_text_of_a_result_is_escaped_where_it_is_shown(made, empty):
    from cplab import lab

    evil = "<img src=x onerror=alert(1)>"
    for result in made:
        store.keep(replace(result, copy=evil, device=evil, commit=evil, torch=evil))
    assert store.find(RUN).copy == evil
    guess = lab.Prediction({}, {"a": RUN})
    guess.guesses["a"].value = 40
    order = lab.Ranking({"a": RUN, "b": RUNS[1]})
    for box, name in zip(order.controls.values(), ("a", "b"), strict=True):
        box.value = name
    for widget in (guess, order):
        widget.reveal.click()
        html = " ".join(texts(widget))
        assert "x onerror" in html
        assert "<img src=x" not in html


def texts(widget):
    """All HTML in a widget and those that it holds."""
    if isinstance(getattr(widget, "value", None), str):
        yield widget.value
    for child in getattr(widget, "children", ()):
        yield from texts(child)


def test_a_shipped_file_is_read_as_it_is_now(made, nothing_shipped):
    store.ship(made[:2], "some")
    assert [bool(store.find(run)) for run in RUNS] == [True, True, False]
    rows = [made[2].row()]
    pq.write_table(pa.Table.from_pylist(rows), nothing_shipped / "some.parquet")
    forget()
    assert [bool(store.find(run)) for run in RUNS] == [False, False, True]
