"""What importing costs."""

import pkgutil

import cplab

# What trains on a server and in worker processes.
TRAINING = ("cplab.engine", "cplab.results", "cplab.measure", "cplab.models", "cplab.data")
SCREEN = {"anywidget", "bokeh", "ipywidgets", "IPython", "jupyter", "jupyterlab", "matplotlib"}


def loaded(python, *codes):
    """The top-level modules that are loaded after each of some codes ran, one after another in a
    fresh Python."""
    ending = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    process = python("\n".join(f"{code}\n{ending}" for code in codes))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return [set(line.split()) for line in out.splitlines()]


def test_nothing_is_loaded_before_it_is_needed(python):
    """By the package, by a look-up, and by training, which draws nothing."""
    names = [module.name for module in pkgutil.walk_packages(cplab.__path__, "cplab.")]
    imports = [f"import {name}" for name in names if name.startswith(TRAINING)]
    package, look_up, training = loaded(
        python,
        "import cplab; dir(cplab); cplab.Run('blur-2+flip', length=1, model='fc').timeline",
        "assert cplab.run(deficit='blur', length=8).source == 'shipped'",
        "\n".join([*imports, "cplab.run(profile='ci', recovery=1, device='cpu')"]),
    )
    assert not package & {"torch", "torchvision", "numpy", "pandas", "pyarrow", "scipy", *SCREEN}
    assert not look_up & {"torch", "pandas", *SCREEN}
    assert "torch" in training
    assert not training & {*SCREEN, "pandas"}


def test_looking_at_results_needs_no_torch(python):
    """For installs without torch, for small machines, and to be there soon."""
    code = "import sys, cplab, cplab.quantities\ncplab.Explorer()\n"
    code += "assert not {'bokeh.models', 'pandas'} & {*sys.modules}\ncplab.table()"
    [modules] = loaded(python, code)
    assert not modules & {"torch", "torchvision", "loky"}
