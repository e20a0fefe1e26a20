"""A kernel of Jupyter's that begins at once: a fork of a process that has loaded what labs import.

`python tests/kernel.py serve SOCKET` loads it, and forks for each who connects to a socket that it
is given open.

`python tests/kernel.py ask ADDRESS FILE` is the kernel's command: it asks for a kernel with a file
of connections, passes on an interrupt, and ends with it.

What a lab trains is trained in the kernel itself: a worker would load torch once more, for seconds
of training.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

# The process that loads ---------------------------------------------------------------------------


def load_libraries():
    """Import what labs import, and compute and read what they do, so that each fork has it at once.
    Modules of one lab are left to it."""
    import gc

    sys.modules["rfc3987_syntax"] = None  # which takes long to load, as in conftest.py
    import bokeh.plotting  # noqa: F401
    import here
    import ipykernel.kernelapp  # noqa: F401
    import ipywidgets  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch  # noqa: F401

    from cplab import lab, show  # noqa: F401
    from cplab.engine import workers
    from cplab.lab.explorer.explorer import packed_bokeh
    from cplab.pictures import digits
    from cplab.pictures.data import shared_images
    from cplab.pictures.datasets import is_here
    from cplab.pictures.practice import practice
    from cplab.pictures.previews import few_images

    workers.Workers = here.Here
    workers.warm = here.warm
    read_shipped_results()
    packed_bokeh()
    practice()
    if is_here("cifar10"):
        shared_images("cifar10", "course")
        few_images("cifar10", "paper")
        few_images("cifar10", "course")
    digits.drawn()
    gc.collect()
    gc.freeze()  # what is loaded is looked through for garbage no more


def read_shipped_results():
    """Read the results that the explorers of several labs show."""
    from cplab.lab.explorer.points import Setting
    from cplab.runs import FLAGSHIP, Run

    Setting(FLAGSHIP, ["blur", "flip", "permute", "noise"])
    Setting(Run(profile="tiny", schedule="fixed"), ["mosaic"])


def serve(server):
    """Fork a kernel for each who asks, until one asks for nothing."""
    request = True
    while request:
        connection, _ = server.accept()
        _, descriptors, *_ = socket.recv_fds(connection, 1, 3)
        request = json.loads(connection.makefile().readline())
        if request and os.fork() == 0:
            server.close()
            be_kernel(connection, descriptors, **request)
        connection.close()
        for descriptor in descriptors:
            os.close(descriptor)
        collect_ended(os.WNOHANG)
    collect_ended(0)


def collect_ended(options):
    """Collect the forks that have ended, whose times then count."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


def be_kernel(connection, descriptors, options, environment, folder):
    """Be the kernel of one who asks, with its outputs, folder and environment, and end with it."""
    from ipykernel.kernelapp import launch_new_instance

    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    connection.sendall(f"{os.getpid()}\n".encode())
    threading.Thread(target=end_with, args=(connection,), daemon=True).start()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.environ.pop("JPY_PARENT_PID", None)  # which is the process that asked
    sys.argv[1:] = ["-f", *options]
    launch_new_instance()
    os._exit(0)


def end_with(connection):
    """End where nobody waits any more."""
    connection.recv(1)
    os._exit(1)


# The one that asks --------------------------------------------------------------------------------


def ask(address, *options):
    """Have a kernel forked, and wait for its end."""
    request = {"options": options, "environment": {**os.environ}, "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        send(connection, request)
        kernel = int(connection.makefile().readline())
        signal.signal(signal.SIGINT, lambda *_: os.kill(kernel, signal.SIGINT))
        connection.recv(1)


def send(connection, request):
    socket.send_fds(connection, [b" "], [0, 1, 2])
    connection.sendall(json.dumps(request).encode() + b"\n")


# For tests ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def kernel_of_forks(folder, images):
    """Where forks can be had, the usual kernel is one, while $JUPYTER_PATH is the folder that this
    gives. What Apple's libraries hold does not survive a fork.

    Arguments: folder, an empty one; images, the folder of data sets.
    """
    if sys.platform != "linux":
        yield None
        return
    address = str(folder / "address")
    kernel = folder / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    asks = [sys.executable, "-I", "-S", __file__, "ask", address, "{connection_file}"]
    kernel.write_text(json.dumps({"argv": asks, "display_name": "forks", "language": "python"}))
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "IPYTHONDIR": str(folder)}
    environment["CPLAB_DATA"] = str(images)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        number = server.fileno()
        command = [sys.executable, "-X", "faulthandler", __file__, "serve", str(number)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=environment, pass_fds=[number], stdout=pipe)
    with process:
        assert process.stdout.readline() == b"loaded\n"
        yield folder
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            send(connection, None)


if __name__ == "__main__":
    task, place, *options = sys.argv[1:]
    if task == "serve":
        load_libraries()
        print("loaded", flush=True)
        serve(socket.socket(fileno=int(place)))
        os._exit(0)  # at once: to tidy all objects up takes seconds
    else:
        ask(place, *options)
