"""What importing costs."""

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

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
    assert not package & {"torch", "torchvision", "pandas", "pyarrow", "scipy", *SCREEN}
    assert not look_up & {"torch", "pandas", *SCREEN}
    assert "torch" in training
    assert not training & {*SCREEN, "pandas", "sympy"}  # sympy: torch's compiler


def test_looking_at_results_needs_no_torch(python):
    """For installs without torch, for small machines, and to be there soon."""
    code = "import sys, cplab, cplab.quantities\ncplab.Explorer()\n"
    code += "assert not {'bokeh.models', 'pandas'} & {*sys.modules}\ncplab.table()"
    [modules] = loaded(python, code)
    assert not modules & {"torch", "torchvision", "loky"}


def test_what_only_looks_runs_without_torch_images_and_network(tmp_path):
    """Of a lab that trains a little too, that is left out in one line."""
    root = Path(__file__).parent.parent
    script = root / "tests" / "without_torch.py"
    labs = sorted(root.glob("labs/0[124678]_*.ipynb"), reverse=True)
    assert len(labs) == 6
    own = {"PYTHONPATH": str(root), "IPYTHONDIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, script, *labs],
        cwd=tmp_path,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert "Left out: No module named 'torch'" in ran.stdout
