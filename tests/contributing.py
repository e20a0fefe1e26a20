"""What CONTRIBUTING.md says of something new, in numbers: tests hold the labs and the package to
them, so that a rule stands there alone."""

import re

from conftest import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")


def how_many(noun):
    """How many of something there must be: "it needs four questions"."""
    [word] = re.findall(rf"needs (\w+) {noun}", TEXT)
    return NUMBERS.index(word)


def places(new):
    """In how many files something new is written, as the table has it."""
    [count] = re.findall(rf"^\| {new} \| (\d+) \|", TEXT, re.M)
    return int(count)
