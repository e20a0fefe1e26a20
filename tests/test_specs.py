"""Specs of any kind: their keys, what leaves a key as it was, and the way there and back."""

import json
import math
from dataclasses import dataclass, field, fields, make_dataclass

import pytest
from conftest import runs
from hypothesis import event, given
from hypothesis import strategies as st

from cplab import Run, specs
from cplab.checks import CplabError


def kind(name, version=1, **defaults):
    """A frozen class of specs of this name, whose fields have these defaults."""
    told = [(name, type(value), field(default=value)) for name, value in defaults.items()]
    return make_dataclass(name, told, frozen=True, namespace={"version": version})


FIELDS = st.fixed_dictionaries(
    {
        "dataset": st.sampled_from(["mnist", "practice"]),
        "gamma": st.sampled_from([0.016, 0.5]),
        "keep": st.sampled_from([(0.1, 0.2), (), (0.1,)]),
        "seed": st.integers(0, 2),
    }
)
USUAL = {"dataset": "mnist", "gamma": 0.016, "keep": (0.1, 0.2), "seed": 0}


@given(FIELDS, FIELDS)
def test_keys_are_equal_where_specs_are(one, other):
    search = kind("Search", **USUAL)
    assert (specs.key(search(**one)) == specs.key(search(**other))) == (one == other)


@given(FIELDS, st.sampled_from([None, 0, 0.5, "text", (), True]))
def test_a_new_field_with_a_default_leaves_all_keys_as_they_were(given_, default):
    before, after = kind("Search", **USUAL), kind("Search", **USUAL, later=default)
    assert specs.key(after(**given_)) == specs.key(before(**given_))
    assert specs.key(after(**given_, later="other")) != specs.key(before(**given_))


@given(runs())
def test_a_new_field_of_a_run_leaves_all_keys_as_they_were(run):
    @dataclass(frozen=True)
    class Later(Run):
        colour: str = field(default="grey", metadata={"check": lambda name, value: value})

    said = specs.plain(run)
    assert specs.key(Later(**said)) == run.key
    assert specs.key(Later(**said, colour="red")) != run.key


def test_a_field_that_always_stands_in_the_key_may_have_any_default():
    def ever(default):
        size = ("size", int, field(default=default, metadata={"always": True}))
        return make_dataclass("Ever", [size], frozen=True, namespace={"version": 1})

    assert specs.key(ever(1)(2)) == specs.key(ever(2)(2)) != specs.key(ever(1)(1))


def test_the_class_and_its_version_are_part_of_the_key():
    keys = {
        specs.key(kind(name, version, **USUAL)(seed=1))
        for name in ("Search", "OneShot")
        for version in (1, 2)
    }
    assert len(keys) == 4
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys)


@given(runs())
def test_what_is_said_plainly_gives_the_same_run_back(run):
    assert specs.build_spec("Run", json.loads(json.dumps(specs.plain(run)))) == run


@given(FIELDS)
def test_a_spec_in_a_spec_is_said_plainly_too(given_):
    search = kind("Search", **USUAL)
    retraining = kind("Retraining", search=search(), density=0.1)
    with pytest.MonkeyPatch.context() as patch:
        for cls in (search, retraining):
            patch.setitem(specs.SPECS, cls.__name__, cls)
        for spec in (retraining(search(**given_)), retraining(search(**given_), 0.5)):
            assert specs.build_spec("Retraining", json.loads(json.dumps(specs.plain(spec)))) == spec
        assert specs.plain(retraining()) == {}


ODD = [None, True, -1, 0, 1, 3, 0.5, 1e308, math.inf, math.nan, 2**31, 10**400, "", "x", "blur"]
ODD += [
    "course",
    "1",
    "1e9",
    "a\nb",
    "x" * 1000,
    "blank@0+1",
    "٣",
    [],
    [1, 2],
    [[1, 2]],
    [None],
    {},
]
ODD += [[["blur", 0, 1]], *({"kind": kind} for kind in ("Run", "Search", "KernelSize", "x", None))]


@given(st.sampled_from(sorted(specs.kinds())), st.randoms(use_true_random=False))
def test_any_values_make_a_spec_or_are_refused_in_one_line(name, rng):
    cls = specs.kinds()[name]
    names = [f.name for f in fields(cls)]
    said = {n: rng.choice(ODD) for n in rng.sample(names, rng.randrange(len(names) + 1))}
    try:
        spec = specs.build_spec(name, said)
    except (CplabError, ValueError, TypeError) as error:
        spec, refused = None, error
    if spec is None:
        event(type(refused).__name__)
        assert "\n" not in str(refused)
        assert not isinstance(refused, TypeError) or "argument" in str(refused)  # it is missing
    else:
        assert specs.build_spec(name, json.loads(json.dumps(specs.plain(spec)))) == spec


def test_a_kind_that_is_none_is_told_from_values_that_are_not_allowed(monkeypatch):
    monkeypatch.setattr(specs, "HOMES", ("cplab.runs",))
    with pytest.raises(ValueError, match="Nonsense"):
        specs.build_spec("Nonsense", {})
    with pytest.raises(CplabError, match="deaf"):
        specs.build_spec("Run", {"deficit": "deaf", "length": 1})
