"""What importing costs, and what there is without torch."""

import pkgutil

from conftest import ROOT

import cplab
from cplab import teach

# What trains on a server and in worker processes.
TRAINING = ("cplab.engine", "cplab.results", "cplab.measure", "cplab.models", "cplab.data")
SCREEN = {"anywidget", "bokeh", "ipywidgets", "IPython", "jupyter", "jupyterlab", "matplotlib"}
ENDING = "\nimport sys; print('loaded', *{name.partition('.')[0] for name in sys.modules})\n"


def loaded(python, *codes):
    """The top-level modules that are loaded after each of some codes ran in turn, in one Python."""
    process = python(ENDING.join([*codes, ""]))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return [{*line.split()} for line in out.splitlines() if line.startswith("loaded")]


def test_nothing_is_loaded_before_it_is_needed(python):
    """By the package, by a look-up, by a page, and by training, which draws nothing."""
    names = [module.name for module in pkgutil.walk_packages(cplab.__path__, "cplab.")]
    imports = [f"import {name}" for name in names if name.startswith(TRAINING)]
    package, look_up, training = loaded(
        python,
        "import cplab; dir(cplab); cplab.Run('blur-2+flip', length=1, model='fc').timeline",
        "assert cplab.run(deficit='blur', length=8).source == 'shipped'\n"
        "import pyarrow; assert pyarrow.total_allocated_bytes() < 2e7",  # not of all results
        "\n".join([*imports, "cplab.run(profile='ci', recovery=1, device='cpu')"])
        + "\nimport torch; cplab.engine.gpu.graphs.StepForAll([torch.zeros(1)], fused=False)",
    )
    assert not package & {"torch", "torchvision", "pandas", "pyarrow", "scipy", *SCREEN}
    assert not look_up & {"torch", "pandas", *SCREEN}
    assert "torch" in training
    assert not training & {*SCREEN, "pandas", "sympy"}  # sympy: torch's compiler


LOOK = """import sys, cplab, cplab.quantities, cplab.show
cplab.Explorer()
assert not {'bokeh.models', 'pandas'} & {*sys.modules}
cplab.show.bars({'blur': [1.0, 2.0]}, 'harm')._repr_html_()
assert 'matplotlib.pyplot' not in sys.modules
cplab.results_table()"""
LAB = """import json, pathlib, socket
from importlib.machinery import PathFinder
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
find, lacking = PathFinder.find_spec, {"torch", "torchvision", "loky", "jupyterlab"}
PathFinder.find_spec = lambda name, *more: None if name in lacking else find(name, *more)
socket.socket.connect = None  # there is no network
shell = InteractiveShell.instance()
shell.kernel = object()  # what tells a notebook's shell from a terminal's
with capture_output() as shown:
    for cell in json.loads(pathlib.Path(sys.argv[1]).read_text("utf8"))["cells"]:
        if cell["cell_type"] == "code":
            assert shell.run_cell("".join(cell["source"])).success, cell
assert "Left out: torch is not installed" in shown.stdout
"""
TRAIN = """from cplab.cli import main
main(["run", "--deficit", "blur", "--length", "8"])
cplab.lab.Nursery()._repr_mimebundle_()  # which the browser trains
explorer = cplab.Explorer()
explorer.choose(onset=24)
explorer.train()
assert explorer.wait(60)
print(explorer.link.live["message"])
for call in ("images('practice', 'ci')", "models.build('allcnn')", "deficits.permutation(3)"):
    try:
        eval(f"cplab.{call}")
    except cplab.CplabError as error:
        print(error)
sys.exit(main(["run", "--profile", "ci", "--onset", "3"]))"""


CHECKS = """import importlib, pkgutil, sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name == "torch" else find(name, *more)
from cplab import labs
for module in pkgutil.iter_modules(labs.__path__):
    if module.name.endswith("_checks"):
        importlib.import_module(f"cplab.labs.{module.name}")
"""


def test_the_checks_of_exercises_load_without_torch(python):
    process = python(CHECKS)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err


def test_looking_at_results_needs_no_torch_and_what_trains_names_what_is_missing(
    python, tmp_path, monkeypatch
):
    """Nor images and network; of a lab, what trains is left out in one line."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    process = python(LOOK + ENDING + LAB + TRAIN, ROOT / "labs" / "04_fisher_trace.ipynb")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 2, err
    modules, result, *lacking = out.splitlines()
    assert not {*modules.split()} & {"torch", "torchvision", "loky"}
    assert "shipped" in result
    assert len(lacking) == 4
    for said in (*lacking, *err.splitlines()):
        assert "pip install 'cplab[train]'" in said


COPIES = """import sys
from importlib.machinery import PathFinder
find, lacking = PathFinder.find_spec, {"torch", "torchvision", "loky"}
PathFinder.find_spec = lambda name, *more: None if name in lacking else find(name, *more)
from cplab.cli import main
sys.exit(main(["teach", "build", sys.argv[1], "--nbgrader"]))"""


def test_a_teacher_builds_copies_without_torch(python, tmp_path):
    """Which exercises a grader can tell is known before any answer is worked out."""
    process = python(COPIES, tmp_path)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert len([*tmp_path.glob("source/*/*.ipynb")]) == len(teach.labs())
