"""The numbers in the texts of README, findings.md, REPRODUCTION.md and lab 00b, from the shipped
results, and from photographs.csv and reason.csv.

`python -m reproduction pages` writes them there; a test holds them. In the page a comment with its
name follows each of them, `**3.1 ± 0.4**<!--blur-->`. pages.csv has its expression.
"""

import csv
import re
from pathlib import Path

from cplab import quantities
from cplab.base.errors import CplabError
from reproduction.claims import evaluate

HERE = Path(__file__).parent
ROOT = HERE.parent

# A number in a page: with its interval, or else between asterisks; and the comment with its name
VALUE = r"−?\d+\.\d+ ± \d+\.\d+|(?<=\*\*)(?:−?\d+\.\d+|not trained yet)(?=\*\*)"
NUMBER = re.compile(rf"(?P<value>{VALUE})(?P<after>(?:\*\*)?(?:<!--(?P<name>[\w.-]+)-->)?)")


def read_pages() -> list[dict[str, str]]:
    """The lines of pages.csv: a page, a name, an expression, and decimals if there is not one."""
    with (HERE / "pages.csv").open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def numbers(page: str) -> dict[str, str]:
    """Today's numbers of a page as they are written there, by name: with half the interval if there
    is one."""
    texts = {}
    with quantities.shipped_only():
        for line in read_pages():
            if line["page"] == page:
                words = f"{evaluate(line['expression']):.{line['digits'] or 1}f}"
                texts[line["name"]] = words.partition(" (")[0]  # without a note on its seeds
    return texts


def written(page: str) -> dict[str, str]:
    """The numbers that stand in a page now, by name."""
    text = (ROOT / page).read_text()
    return {match["name"]: match["value"] for match in NUMBER.finditer(text) if match["name"]}


def update(page: str) -> None:
    """Write today's numbers into a page.

    Raises:
        CplabError: for a name in the page that has no number, and for a number that the page does
            not have.
    """
    today = numbers(page)
    names = set(written(page))
    if names != set(today):
        differing = ", ".join(sorted(names ^ set(today)))
        raise CplabError(
            f"{page} and pages.csv differ in {differing}: "
            "name each number of the page there, and no other"
        )

    def with_todays_value(match: re.Match) -> str:
        if not match["name"]:
            return match[0]
        return today[match["name"]] + match["after"]

    text = (ROOT / page).read_text()
    (ROOT / page).write_text(NUMBER.sub(with_todays_value, text))
