"""Computes experiments: functions whose values are kept beside the results of runs."""

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

from cplab.base.errors import Cancelled, CplabError, Failed, explain, quote
from cplab.base.late import torch
from cplab.engine.workload import Flag, Stretch
from cplab.specs import plain_data
from cplab.specs.experiments import Experiment


def compute(
    experiment: Experiment,
    device: str,
    tell: Callable[[dict], object] | None = None,
    stop: Flag | None = None,
) -> Stretch:
    """Compute an experiment in this process.

    Arguments:
        experiment: what is computed.
        device: auto, cuda, mps or cpu.
        tell: a function that is called with what there is so far.
        stop: an Event that ends it.

    Returns:
        a stretch of one row, which has its values.

    Raises:
        Failed, Cancelled, CplabError.
    """
    from cplab.base import devices

    if stop and stop.is_set():
        raise Cancelled
    experiment.check_computable()
    function = experiment.function
    arguments = experiment.arguments
    parameters = inspect.signature(function.apply).parameters
    how = {"device": device, "stop": stop, "tell": tell}
    arguments |= {name: value for name, value in how.items() if name in parameters and value}
    torch_device = devices.pick(device)
    began = time.perf_counter()
    with own_faults(experiment) if function.own else nullcontext():
        answer = function.apply(**arguments)
    seconds = time.perf_counter() - began
    if not isinstance(answer, Mapping):
        raise CplabError(f"{experiment!r} gives {quote(answer)}: return a dict")
    values = plain_data(repr(experiment), dict(answer))
    provenance = {
        "copy": values.pop("copy", ""),
        "device": devices.machine(torch_device),
        "precision": values.pop("precision", "") or devices.precision("native", torch_device),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
    return Stretch([{"epoch": 0, "values": values, "seconds": seconds}], provenance)


@contextmanager
def own_faults(experiment: Experiment) -> Iterator[None]:
    """A context for a student's own experiment. Its seed decides what it draws, and an error in it
    ends this experiment alone.

    Raises:
        Failed.
    """
    from cplab.base.seeding import seeded

    seed = experiment.arguments.get("seed", 0)
    if not isinstance(seed, int):
        seed = 0
    try:
        with seeded(seed), explain(experiment.name):
            yield
    except (Cancelled, Failed):
        raise
    except CplabError as error:  # also one that `explain` has made of another error
        raise Failed(f"{error}, in {experiment!r}: no result of it is kept") from error.__cause__
