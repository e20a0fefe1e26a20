"""What importing costs."""

import pkgutil

import cplab

# What trains on a server and in worker processes.
TRAINING = ("cplab.engine", "cplab.results", "cplab.measure", "cplab.models", "cplab.data")
SCREEN = {"anywidget", "bokeh", "ipywidgets", "IPython", "jupyter", "jupyterlab", "matplotlib"}


def loaded(python, code):
    """The top-level modules that are loaded after `code` ran in a fresh Python."""
    ending = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    process = python(f"{code}\n{ending}")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return set(out.split())


def test_importing_cplab_loads_no_large_library(python):
    code = "import cplab; dir(cplab); cplab.Run('blur-2+flip', length=1, model='fc').timeline"
    modules = loaded(python, code)
    assert not modules & {"torch", "torchvision", "numpy", "pandas", "pyarrow", "scipy", *SCREEN}


def test_training_loads_nothing_that_draws(python):
    names = [
        module.name
        for module in pkgutil.walk_packages(cplab.__path__, "cplab.")
        if module.name.startswith(TRAINING)
    ]
    code = "\n".join(f"import {name}" for name in names)
    code += "\nimport cplab; cplab.run(profile='ci', recovery=1, device='cpu')"
    modules = loaded(python, code)
    assert "torch" in modules
    assert not modules & {*SCREEN, "pandas"}


def test_a_look_up_needs_neither_torch_nor_pandas(python):
    code = "import cplab; assert cplab.run(deficit='blur', length=8).source == 'shipped'"
    assert not loaded(python, code) & {"torch", "pandas", *SCREEN}


def test_looking_at_results_needs_no_torch(python):
    """For installs without torch, for small machines, and to be there soon."""
    code = "import sys, cplab, cplab.quantities\ncplab.Explorer()\n"
    code += "assert not {'bokeh.models', 'pandas'} & {*sys.modules}\ncplab.table()"
    assert not loaded(python, code) & {"torch", "torchvision", "loky"}
