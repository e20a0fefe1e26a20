"""Specs: what decides a result, and its key; profiles; students' own functions."""

from cplab.specs.spec import (
    Count,
    NotNegative,
    Number,
    Seed,
    Spec,
    assign,
    check_spec,
    mix_seeds,
    plain_data,
    refuse_bool,
    spec_class,
)

__all__ = [
    "Count",
    "NotNegative",
    "Number",
    "Seed",
    "Spec",
    "assign",
    "check_spec",
    "mix_seeds",
    "plain_data",
    "refuse_bool",
    "spec_class",
]
