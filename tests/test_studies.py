"""Studies: found again, computed once, and never believed when damaged."""

import json
from dataclasses import dataclass

import pyarrow.parquet as pq
import pytest

from cplab import records, studies
from cplab.records import RecordWarning


@dataclass(frozen=True)
class Square:
    number: int
    name: str = "plain"


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(records, "SHIPPED", tmp_path / "shipped")
    studies.shipped.cache_clear()
    yield
    studies.shipped.cache_clear()


def squares(calls):
    def compute(specs):
        calls.append([s.number for s in specs])
        for spec in specs:
            yield spec, {"square": spec.number**2, "halves": [spec.number / 2, 0.1]}

    return compute


def test_what_was_computed_is_found_and_the_rest_computed_in_one_call():
    calls = []
    first = dict(studies.collect([Square(2), Square(3)], squares(calls)))
    again = dict(studies.collect([Square(3), Square(4), Square(2)], squares(calls)))
    assert calls == [[2, 3], [4]]
    assert again[Square(4)].values == {"square": 16, "halves": [2.0, 0.1]}
    assert again[Square(2)] == first[Square(2)]
    list(studies.collect([Square(2)], squares(calls), fresh=True))
    assert calls[-1] == [2]


def test_what_is_at_hand_is_not_computed_again_and_nobody_waits_long(capsys):
    calls = []
    ask = lambda missing: studies.collect(missing, squares(calls))  # noqa: E731
    [*studies.collect([Square(2)], squares(calls))]
    found = studies.at_hand([Square(2), Square(3), Square(3)], ask, seconds=100)
    assert {spec.number: study.values["square"] for spec, study in found.items()} == {2: 4, 3: 9}
    found = studies.at_hand([Square(n) for n in range(2, 6)], ask, seconds=200)
    assert {spec.number for spec in found} == {2, 3}
    assert calls == [[2], [3]]
    said = "Not shown: 2 of 4 studies, which nobody has computed yet (about 7 minutes).\n"
    assert capsys.readouterr().out == said


def test_every_field_and_the_class_are_part_of_the_key():
    @dataclass(frozen=True)
    class Cube:
        number: int
        name: str = "plain"

    specs = [Square(2), Square(3), Square(2, "other"), Cube(2)]
    assert len({studies.key(studies.canonical(s)) for s in specs}) == len(specs)


def test_what_an_interrupted_computation_yielded_is_kept():
    def compute(specs):
        yield specs[0], {"square": 4}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(studies.collect([Square(2), Square(3)], compute))
    assert studies.find(Square(2)).values == {"square": 4}
    assert studies.find(Square(3)) is None


def test_shipped_studies_stand_before_live_ones_and_survive_a_second_shipping(tmp_path):
    calls = []
    made = [s for _, s in studies.collect([Square(2), Square(3)], squares(calls))]
    studies.ship(made[:1], "some")
    path = studies.ship(made[1:], "some")
    assert pq.read_table(path).num_rows == 2
    for file in (tmp_path / "cache" / "studies").iterdir():
        file.unlink()
    assert studies.find(Square(2)).source == studies.find(Square(3)).source == "shipped"
    assert studies.verify() == ({"shipped": 2, "live": 0}, [])
    assert len(calls) == 1


def test_a_damaged_live_study_is_set_aside_and_computed_again():
    calls = []
    [(_, made)] = studies.collect([Square(2)], squares(calls))
    path = studies.live_path(made.key)
    plain = json.loads(path.read_text())
    plain["values"]["square"] = 5
    path.write_text(json.dumps(plain))
    assert studies.verify()[1] == [f"live study {made.key} is damaged: its checksum does not fit"]
    with pytest.warns(RecordWarning, match="set aside"):
        [(_, again)] = studies.collect([Square(2)], squares(calls))
    assert again.values == made.values
    assert path.with_suffix(".json.damaged").exists()


def test_a_damaged_shipped_study_is_not_believed():
    calls = []
    made = [s for _, s in studies.collect([Square(2)], squares(calls))]
    path = studies.ship(made, "some")
    table = pq.read_table(path).to_pydict()
    table["json"][0] = table["json"][0].replace('"square": 4', '"square": 5')
    import pyarrow as pa

    pq.write_table(pa.table(table), path)
    studies.shipped.cache_clear()
    studies.live_path(made[0].key).unlink()
    with pytest.warns(RecordWarning, match="damaged"):
        assert studies.find(Square(2)) is None
    path.write_bytes(b"no parquet")
    studies.shipped.cache_clear()
    with pytest.warns(RecordWarning, match="some.parquet are damaged"):
        assert studies.shipped() == {}
