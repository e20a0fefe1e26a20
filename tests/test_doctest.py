"""Every `>>>` example of the package runs, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil
from dataclasses import is_dataclass

import pytest

import cplab
from cplab.teach.site import PUBLIC

MODULES = ["cplab", *(m.name for m in pkgutil.walk_packages(cplab.__path__, "cplab."))]
Returned = (tuple, Exception)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [name for name in MODULES if name != "cplab.__main__"])
def test_its_examples_give_what_they_say(name, capsys):
    typed = {"__name__": "__main__"}  # as by a student
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs=typed, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0, capsys.readouterr().out


@pytest.mark.parametrize("module", PUBLIC)
def test_its_public_names_explain_themselves(module):
    """With an example, and the arguments where there are several; what only comes back from others
    needs none."""
    module = importlib.import_module(module)
    assert {*module.__all__} <= {*dir(module)}
    lacking = {name: what for name in module.__all__ if (what := lacks(getattr(module, name)))}
    assert not lacking


def lacks(value):
    """What the docstring of a function or class does not have."""
    text = inspect.getdoc(value) or ""
    returned = inspect.isclass(value) and (is_dataclass(value) or issubclass(value, Returned))
    if not callable(value) or returned:
        return "" if text else "a docstring"
    several = len(inspect.signature(value).parameters) > 3
    wanted = [">>>", *(["Arguments:"] if several else [])]
    return ", ".join(word for word in wanted if word not in text)
