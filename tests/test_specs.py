"""Specs of any kind: their keys, what leaves a key as it was, what is refused, there and back."""

import json
from typing import Annotated, ClassVar, Literal

import pytest
from conftest import runs
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from typing_extensions import TypedDict

from cplab import Run, specs
from cplab.errors import CplabError
from cplab.specs import Count, Number, Spec, spec_class


class SearchValues(TypedDict):
    steps: list[Count]


@spec_class
class Search(Spec):
    always: ClassVar[tuple[str, ...]] = ("dataset",)
    Values: ClassVar = SearchValues

    dataset: Literal["mnist", "practice"] = "mnist"
    gamma: Annotated[Number, Field(gt=0, le=1)] = 0.5
    keep: tuple[float, ...] = (0.1, 0.2)
    seed: Count = 0


@spec_class
class Retraining(Spec):
    search: Search
    density: Number = 0.1


FIELDS = st.fixed_dictionaries(
    {
        "dataset": st.sampled_from(["mnist", "practice"]),
        "gamma": st.sampled_from([0.016, 0.5]),
        "keep": st.sampled_from([(0.1, 0.2), (), (0.1,)]),
        "seed": st.integers(0, 2),
    }
)


@given(FIELDS, FIELDS)
def test_keys_are_equal_where_specs_are(one, other):
    assert (Search(**one).key == Search(**other).key) == (one == other)
    assert (Search(**one) == Search(**other)) == (one == other)


@given(runs())
def test_a_new_field_of_a_run_leaves_all_keys_as_they_were(run):
    later = spec_class(
        type("Later", (Run,), {"__annotations__": {"colour": str}, "colour": "grey"})
    )
    assert later(**run.plain()).key == run.key
    assert later(**run.plain(), colour="red").key != run.key


def test_a_field_that_always_stands_in_the_key_and_others_only_where_they_matter():
    assert Search().plain() == {"dataset": "mnist"}
    assert Search(gamma=1, keep=[0.1]).plain() == {"dataset": "mnist", "gamma": 1.0, "keep": [0.1]}
    assert Search().canonical() == "Search version=1 dataset=mnist"


@given(FIELDS)
def test_a_spec_in_a_spec_is_said_plainly_too(fields):
    spec = Retraining(Search(**fields), 0.5)
    ours = {cls.__name__: f"{__name__}:{cls.__name__}" for cls in (Search, Retraining)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specs, "addresses", lambda: ours)  # not the studies' of these names
        assert specs.build_spec("Retraining", json.loads(json.dumps(spec.plain()))) == spec


def test_values_are_held_to_their_type():
    spec = Search()
    specs.check_values(spec, {"steps": [1, 2]})
    for wrong in ({"steps": [-1]}, {"steps": ["1"]}, {}):
        with pytest.raises(ValueError, match="steps"):
            specs.check_values(spec, wrong)


def test_a_kind_that_is_none_another_version_and_wrong_values_are_told_apart():
    with pytest.raises(ValueError, match="Nonsense"):
        specs.build_spec("Nonsense", {})
    with pytest.raises(specs.Outdated, match="version 0"):
        specs.build_spec("Run", {}, 0)
    with pytest.raises(CplabError, match="deaf"):
        specs.build_spec("Run", {"deficit": "deaf", "length": 1})
