"""What one does without torch and a network: `python tests/without_torch.py FOLDER`.

A student looks results up and tries to train; a teacher builds copies, in the folder. Prints JSON,
whose parts the functions below return.
"""

import importlib
import io
import json
import pkgutil
import socket
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib.machinery import PathFinder

# jsonschema compiles a grammar of addresses with the last, for two seconds; no notebook has one.
ABSENT = {"torch", "torchvision", "loky", "jupyterlab", "rfc3987_syntax"}


def forbid(names):
    """Let Python find no modules with these names."""
    find = PathFinder.find_spec

    def find_others(name, *more):
        return None if name in names else find(name, *more)

    PathFinder.find_spec = find_others


def look_up():
    """Look at results in all ways. Returns: the modules that this has loaded."""
    import cplab
    import cplab.quantities
    import cplab.show

    cplab.Explorer()
    assert "pandas" not in sys.modules
    cplab.show.bars({"blur": [1.0, 2.0]}, "harm")._repr_html_()
    assert "matplotlib.pyplot" not in sys.modules
    cplab.results_table()
    return sorted({name.partition(".")[0] for name in sys.modules})


def try_to_train():
    """Try to train in all ways. Returns: the line that each ends in."""
    import cplab

    cplab.lab.Nursery()._repr_mimebundle_()  # which the browser trains
    explorer = cplab.Explorer()
    explorer.choose(onset=24)
    explorer.train()
    assert explorer.wait(60)
    lines = [explorer.link.live["message"]]
    calls = [
        lambda: cplab.images("drawn", "ci"),
        lambda: cplab.models.build("allcnn"),
        lambda: cplab.deficits.permutation(3),
    ]
    for call in calls:
        try:
            call()
        except cplab.CplabError as error:
            lines.append(str(error))
    return lines


def command(*words):
    """Give a command. Returns: its exit code, and what it prints and says as an error."""
    from cplab.cli import main

    printed = io.StringIO()
    said = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(said):
        code = main(list(words))
    return {"code": code, "printed": printed.getvalue(), "said": said.getvalue()}


def load_checks():
    """Load the checks of all labs' exercises. Returns: how many labs have some."""
    from cplab import labs

    modules = [module.name for module in pkgutil.iter_modules(labs.__path__)]
    checks = [name for name in modules if name.endswith("_checks")]
    for name in checks:
        importlib.import_module(f"cplab.labs.{name}")
    return len(checks)


if __name__ == "__main__":
    [folder] = sys.argv[1:]
    done = {"loaded": look_up()}
    forbid(ABSENT)
    socket.socket.connect = None  # there is no network
    done["checks"] = load_checks()
    done["lines"] = try_to_train()
    done["found"] = command("run", "--deficit", "blur", "--length", "8")
    done["trained"] = command("run", "--profile", "ci", "--onset", "3")
    done["copied"] = command("teach", "build", folder, "--nbgrader")
    print(json.dumps(done))
