"""Specs of any kind: their keys, what leaves a key as it was, what is refused, there and back."""

import json

import pytest
from conftest import runs
from hypothesis import given
from hypothesis import strategies as st

from cplab import Run, specs
from cplab.errors import CplabError
from cplab.specs import spec_class
from cplab.studies.pruning import Retraining, Search

FIELDS = st.fixed_dictionaries(
    {
        "dataset": st.sampled_from(["mnist", "practice"]),
        "gamma": st.sampled_from([0.016, 0.008]),
        "keep": st.sampled_from([(0.1, 0.2), (0.2, 0.1), (0.1,)]),
        "seed": st.integers(0, 2),
    }
)


@given(FIELDS, FIELDS)
def test_keys_are_equal_where_specs_are(one, other):
    assert (Search(**one).key == Search(**other).key) == (Search(**one) == Search(**other))


@given(runs())
def test_a_new_field_of_a_run_leaves_all_keys_as_they_were(run):
    later = spec_class(
        type("Later", (Run,), {"__annotations__": {"colour": str}, "colour": "grey"})
    )
    assert later(**run.plain()).key == run.key
    assert later(**run.plain(), colour="red").key != run.key


def test_a_field_stands_in_the_key_where_it_matters_or_always():
    assert Search().canonical() == "Search version=1"
    assert Search(gamma=0.01, keep=[0.1]).plain() == {"gamma": 0.01, "keep": [0.1]}
    assert {*Run().plain()} == {*Run.always}


@given(FIELDS)
def test_a_spec_in_a_spec_is_said_plainly_too(fields):
    spec = Retraining("random", min(fields["keep"]), Search(**fields))
    assert specs.build_spec("Retraining", json.loads(json.dumps(spec.plain()))) == spec


def test_values_are_held_to_their_type():
    epoch = {"epoch": 0, "phase": "clear", "lr": 0.1, "train_loss": 1.0, "seconds": 1.0}
    values = {"accuracy": 0.5, "curve": [epoch | {"test_accuracy": 0.5}]}
    specs.check_values(Run(), values)
    for wrong in ({"curve": []}, {"curve": [epoch]}, {"accuracy": 2.0}, {"accuracy": "1"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            specs.check_values(Run(), values | wrong)


def test_a_kind_that_is_none_another_version_and_wrong_values_are_told_apart():
    with pytest.raises(ValueError, match="Nonsense"):
        specs.build_spec("Nonsense", {})
    with pytest.raises(specs.Outdated, match="version 0"):
        specs.build_spec("Run", {}, 0)
    with pytest.raises(CplabError, match="deaf"):
        specs.build_spec("Run", {"deficit": "deaf", "length": 1})
