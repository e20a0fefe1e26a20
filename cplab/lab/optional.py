"""Parts that a lab leaves out if what they need is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from cplab.base.errors import CplabError, installed


@contextmanager
def if_possible() -> Iterator[None]:
    """Skip a block that lacks images or torch, and print one line that says why.

    >>> with if_possible():
    ...     raise CplabError("no images here: fetch them")
    Left out: no images here: fetch them
    """
    try:
        with installed():
            yield
    except CplabError as error:
        print(f"Left out: {error}")
    except NameError as error:  # a name that a skipped block would have defined
        print(f"Left out: it needs {error.name}, which was left out above.")
