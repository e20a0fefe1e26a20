"""What a worker is asked to do: to train runs for a stretch, or to compute an experiment.

`do` is called in a worker process (see `process`), by somebody else's executor, or straight, as
in a test. Nothing here loads torch before it is called.
"""

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cplab.base.errors import Failed
from cplab.engine.workload import Flag, Job, Note, Stretch, Tell
from cplab.specs.experiments import Experiment
from cplab.specs.own import load_own


def tell_nobody(notes: list[Note]) -> None:
    """Tell nobody: the rows are in the stretch, too."""


def do(job: Job, tell: Tell = tell_nobody, stop: Flag | None = None) -> list[Stretch | Failed]:
    """Do a job in this process.

    Arguments:
        job: the job.
        tell: a function that is called with each row as it is made.
        stop: an Event that ends it before the next batch.

    Returns:
        for each run or experiment its stretch, or the error with which it ended.

    Raises:
        Cancelled.
        Failed: if one of several runs fails, or the experiment.
        CplabError: for what concerns all runs.
    """
    from cplab.base.devices import explain_failures, use_defaults  # loads torch
    from cplab.engine.call import compute
    from cplab.engine.train import train

    for module in job.modules:
        importlib.import_module(module)
    load_own(job.own)
    told = [*job.told]

    def tell_rows(number: int, rows: list[dict]) -> None:
        """Tell those rows of a run that were not told yet."""
        tell([Note(number, row) for row in rows[told[number] :]])
        told[number] = len(rows)

    def tell_row_of_experiment(row: dict) -> None:
        tell([Note(0, row)])

    with explain_failures(), doing(stop):
        use_defaults()
        first = job.specs[0]
        if isinstance(first, Experiment):
            return [compute(first, job.device, tell_row_of_experiment, stop)]
        return train(
            job.specs,  # type: ignore[arg-type]  # all are runs if the first is
            job.end,
            job.contents,
            job.last,
            device=job.device,
            measures=job.measures,
            seconds=job.seconds,
            stop=stop,
            tell=tell_rows,
        )


_thread = threading.local()


@contextmanager
def doing(stop: Flag | None) -> Iterator[None]:
    """A context in which this thread does a job, which `stop` ends."""
    before = (is_doing(), current_stop())
    _thread.doing = True
    _thread.stop = stop
    try:
        yield
    finally:
        _thread.doing, _thread.stop = before


def is_doing() -> bool:
    """Whether this thread does a job: what it asks for it then computes itself."""
    return getattr(_thread, "doing", False)


def current_stop() -> Flag | None:
    """What ends the job that this thread does, if it does one."""
    return getattr(_thread, "stop", None)


def auto_device() -> str:
    """The type of the device that `auto` stands for in this process: cuda, mps or cpu."""
    from cplab.base import devices

    return devices.pick("auto").type
