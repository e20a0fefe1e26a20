"""Results that are damaged, forged or cannot be written: one warning, and nothing else is lost."""

import hashlib
import json
import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cplab
from cplab.errors import CplabError
from cplab.results import ask, merge, store, tables
from cplab.results.result import checksum, parse, without_times
from cplab.results.store import ResultWarning
from cplab.runs import Run

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread")

RUN = Run("blur", 1, 2, 1, profile="ci", dataset="mnist", model="fc-20")
RUNS = [RUN, RUN.equal_training(), replace(RUN, deficit="noise", seed=1)]


def write_live(result, **change):
    """A result's file with other contents and a checksum that fits."""
    text = json.dumps({**result.plain(), **change})
    path = store.live_path(result.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"json": text, "checksum": checksum(text)}))
    return path


# Files that are not as they were written ----------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"cut"], ids=len)
def test_a_damaged_file_is_left_out_and_its_run_trained_again(made, content):
    for result in made:
        store.keep(result)
    path = store.live_path(RUN.key)
    content = path.read_bytes()[:-9] if content == b"cut" else content
    path.write_bytes(content)
    assert len(store.verify()[1]) == 1
    with pytest.warns(ResultWarning, match="left out"):
        assert len(tables.table()) == 2
    with pytest.warns(ResultWarning, match="left out"):
        again = cplab.run(RUN, device="cpu")
    assert without_times(again.values) == without_times(made[0].values)
    assert store.find(RUN) == again


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_any_changed_bit_of_a_result_is_noticed_or_changes_nothing(made, place, bit):
    good = replace(made[0], measured={"norm": {0: {"norm": 0.5}}})
    content = bytearray(good.text().encode())
    content[place % len(content)] ^= 1 << bit
    try:
        result = parse(content.decode())
    except ValueError:  # whoever reads files is told of it
        return
    assert result == good


def test_a_damaged_shipped_file_is_left_out_and_the_others_are_found(made, nothing_shipped):
    path = store.ship(made[:2], "some")
    store.ship(made[2:], "others")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (nothing_shipped / "foreign.parquet").write_bytes(b"PAR1")  # of which no sum is known
    store.open_archive.cache_clear()  # as in the next session
    with pytest.warns(ResultWarning) as said:
        found = [store.find(run) for run in RUNS]
    assert found == [None, None, replace(made[2], source="shipped")]
    assert len(said) == 2
    assert sorted(str(w.message).split()[2] for w in said) == ["foreign.parquet", "some.parquet"]
    assert len(tables.table()) == 1
    good, bad = store.verify()
    assert (good, len(bad)) == ({"shipped": 1, "live": 0}, 2)
    with pytest.raises(CplabError, match="damaged"):
        store.ship(made[:1], "some")  # which would lose the others in it
    assert path.read_bytes() == content


# What has other types, whatever its checksum -----------------------------------------------------


NONSENSE = {
    "an accuracy above 1": lambda plain: plain["values"]["curve"][0].update(test_accuracy=7.0),
    "no curve": lambda plain: plain["values"].update(curve=[]),
    "another seed": lambda plain: plain["spec"].update(seed=3),
    "an unknown field": lambda plain: plain["spec"].update(colour="red"),
    "an unknown kind": lambda plain: plain.update(kind="Riddle"),
    "measured never": lambda plain: plain.update(measured={"norm": {"x": 1}}),
}


@pytest.mark.parametrize("change", NONSENSE.values(), ids=NONSENSE)
def test_a_result_of_other_types_is_left_out(made, change):
    plain = json.loads(json.dumps(made[0].plain()))
    change(plain)
    path = write_live(made[0], **plain)
    [line] = store.verify()[1]
    assert path.name in line
    with pytest.warns(ResultWarning, match="left out"):
        assert store.find(RUN) is None


# Nothing is run, nothing leaves its directory -----------------------------------------------------


def test_another_s_code_stays_text(made, tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    evil = f"open({str(mark)!r}, 'w').close()\ndef occlude(x, y):\n    return x, y\n"
    name = f"occlude@{hashlib.sha256(evil.encode()).hexdigest()[:8]}"
    with monkeypatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(tmp_path / "theirs"))
        theirs = replace(made[0], spec=replace(RUN, deficit=name), own={name: evil})
        store.keep(theirs)
    assert merge([tmp_path / "theirs"])[:2] == (1, 0)
    assert store.find(theirs.spec).own == {name: evil}
    assert tables.table()["deficit"].tolist() == [name]
    with pytest.raises(CplabError, match="not defined here"):
        ask.retrain(theirs, "cpu")
    assert not mark.exists()


def test_links_and_devices_are_no_results_and_what_is_merged_is_named_by_its_key(made, tmp_path):
    store.keep(made[0])
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / f"{RUNS[1].key}.json").symlink_to(store.live_path(RUN.key))
    os.mkfifo(theirs / f"{RUNS[2].key}.json")
    (theirs / "..%2f..%2fx.json").write_text(made[1].text())
    new, old, refused = merge([theirs])
    assert (new, old, len(refused)) == (0, 0, 3)
    assert [path.name for path in store.live_paths()] == [f"{RUN.key}.json"]


# Disks --------------------------------------------------------------------------------------------


def test_a_full_disk_costs_a_warning_and_what_is_there_stays(made, own_cache, monkeypatch):
    store.keep(made[0])
    path = store.ship(made[:1], "some")
    before = path.read_bytes()

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", full)
        patch.setattr("pyarrow.parquet.write_table", full)
        with pytest.warns(ResultWarning, match="No space left"):
            store.keep(made[1])
        with pytest.raises(CplabError, match="No space left"):
            store.ship(made[1:], "some")
    assert [bool(store.find(run)) for run in RUNS] == [True, False, False]
    assert path.read_bytes() == before
    assert not [*own_cache.rglob("*.partial")]
