"""What importing costs and gives."""

import inspect
import pkgutil

import pytest

import cplab

DRAWING = ("cplab.show", "cplab.lab", "cplab.site", "cplab.teach", "cplab.cli", "cplab.__main__")
TRAINING = [
    module.name
    for module in pkgutil.walk_packages(cplab.__path__, "cplab.")
    if not module.name.startswith(DRAWING)
]
SCREEN = ["anywidget", "bokeh", "ipywidgets", "IPython", "jupyter", "jupyterlab", "notebook"]


def loaded(python, code):
    """The top-level modules that are loaded after `code` ran in a fresh Python."""
    ending = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    process = python(f"{code}\n{ending}")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return set(out.split())


def test_importing_cplab_loads_no_large_library(python):
    found = loaded(python, "import cplab; dir(cplab); cplab.Run().key; cplab.PROFILES")
    large = {"torch", "torchvision", "numpy", "pandas", "pyarrow", "scipy", *SCREEN}
    assert not found & large


def test_the_training_half_loads_nothing_that_draws(python):
    """Worker processes and servers train without a screen."""
    found = loaded(python, "\n".join(f"import {name}" for name in TRAINING))
    assert "torch" in found
    assert not found & {*SCREEN, "matplotlib", "pandas"}


def test_what_looks_up_and_computes_quantities_needs_no_torch(python):
    code = "import cplab; cplab.run(deficit='blur', length=8)\nimport cplab.quantities"
    assert not loaded(python, code) & {"torch", *SCREEN}


def test_looking_at_results_needs_no_torch(python):
    """The explorer with its pictures, tables and predictions: for installs without torch, for
    small machines, and to be there soon."""
    code = "import cplab; explorer = cplab.Explorer(); explorer.choose(deficit='noise')\n"
    code += "from cplab import Run, lab; lab.Prediction({}, {'blur': Run('blur', length=16)})"
    found = loaded(python, code)
    assert "bokeh" in found
    assert not found & {"torch", "torchvision", "loky", "safetensors"}


def test_dir_lists_the_public_names():
    assert len(cplab.__all__) == len(set(cplab.__all__))
    assert set(cplab.__all__) <= set(dir(cplab))


@pytest.mark.parametrize("name", cplab.__all__)
def test_every_public_name_can_be_had_and_explains_itself(name):
    value = getattr(cplab, name)
    if name.isupper():
        return  # a constant
    assert value.__module__.startswith("cplab.")
    assert value.__name__ == name
    assert len(inspect.getdoc(value)) > 20


def test_no_public_name_is_hidden_by_a_module_of_that_name():
    """`import cplab.name` would put the module in its place."""
    assert not {module.name for module in pkgutil.iter_modules(cplab.__path__)} & {*cplab.__all__}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        cplab.nonsense  # noqa: B018
    assert not hasattr(cplab, "nonsense")


def test_star_gives_the_public_names():
    names = {}
    exec("from cplab import *", names)
    assert set(cplab.__all__) <= set(names)
