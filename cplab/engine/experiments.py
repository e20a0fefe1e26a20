"""Computes experiments: functions whose values are kept beside the results of runs."""

import inspect
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event as Flag
from typing import Any

import torch

from cplab import devices
from cplab.errors import Cancelled, CplabError, Failed, explain, quote
from cplab.seeding import Seeded
from cplab.specs import plain_data
from cplab.specs.digest import Definition, received
from cplab.specs.experiments import Experiment, find_function


def definition_of(experiment: Experiment) -> Definition | None:
    """The definition of a student's own experiment function; None for one of the package."""
    return find_function(experiment.address).own


def compute(
    experiment: Experiment,
    device: str,
    threads: int | None = None,
    stop: Flag | None = None,
    own: Definition | None = None,
) -> dict[str, Any]:
    """Compute an experiment in this process.

    Arguments: experiment; device, auto, cuda, mps or cpu; threads, of torch, one if None; stop, an
        Event that ends it; own, the definition of a student's own function that another process
        has.

    Returns: the fields of its Result, by name.

    Raises: Failed, Cancelled, CplabError.
    """
    if stop and stop.is_set():
        raise Cancelled
    own = own or definition_of(experiment)
    faults: AbstractContextManager = nullcontext()
    if own:
        function = received(own)
        faults = own_faults(experiment)
    else:
        function = find_function(experiment.address).compute
    arguments = dict(experiment.given)
    parameters = inspect.signature(function).parameters
    if "device" in parameters:
        arguments["device"] = device
    if "stop" in parameters:
        arguments["stop"] = stop
    place = devices.pick(device)
    threads = threads or 1
    began = time.perf_counter()
    with devices.explain_failures(), devices.torch_defaults(threads), faults:
        answer = function(**arguments)
    seconds = time.perf_counter() - began
    if not isinstance(answer, Mapping):
        raise CplabError(f"{experiment!r} gives {quote(answer)}: return a dict")
    values = plain_data(repr(experiment), dict(answer))
    return {
        "copy": values.pop("copy", ""),
        "device": devices.machine(place),
        "precision": values.pop("precision", "") or devices.precision("native", place),
        "threads": threads,
        "torch": str(torch.__version__),
        "seconds": seconds,
        "values": values,
    }


@contextmanager
def own_faults(experiment: Experiment) -> Iterator[None]:
    """A context for a student's own experiment.

    Its seed decides what it draws from torch, whatever other threads draw. An error in it ends this
    experiment alone.

    Raises: Failed.
    """
    seed = dict(experiment.given).get("seed", 0)
    if not isinstance(seed, int):
        seed = 0
    try:
        with Seeded(seed), explain(experiment.name):
            yield
    except (Cancelled, Failed):
        raise
    except CplabError as error:  # also one that `explain` has made of another error
        raise Failed(f"{error}, in {experiment!r}: no result of it is kept") from error.__cause__
