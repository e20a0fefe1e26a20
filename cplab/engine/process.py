"""A worker process, seen from inside: how it begins, does a job, tells of it, and ends.

`workers` starts such processes, and asks them.
"""

import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import TextIOBase
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from cplab.engine.work import auto_device, do
from cplab.engine.workload import Job, Note, Tell
from cplab.specs.digest import forget_own_modules
from cplab.specs.own import forget_own_entries

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

# Of this process
_stopped = set[int]()  # numbers of jobs that are to end
_notes: "Queue"  # what it tells: (number of a job, its notes)


def serve(orders: Connection, notes: "Queue") -> None:
    """Prepare a worker process, which ignores Ctrl-C: the process that asks handles it.

    Arguments:
        orders: from which numbers of jobs come that are to end.
        notes: for what it tells.
    """
    global _notes
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=obey, args=(orders,), daemon=True).start()
    _notes = notes


def load() -> str:
    """Load torch, and return the device that `auto` stands for."""
    from tqdm import tqdm

    import cplab.engine.train  # noqa: F401 (which loads it)

    # An experiment may sweep here, and a lock between processes would be left behind when it ends
    tqdm.set_lock(threading.RLock())
    return auto_device()


def obey(orders: Connection) -> None:
    """Note which jobs are to end, until the process that asks is gone: then end this one."""
    with suppress(EOFError, OSError):
        while True:
            _stopped.add(orders.recv())
    os._exit(1)


class Surroundings(NamedTuple):
    """What a worker takes over from the process that asks it, before each job."""

    folder: str  # the working folder
    path: list[str]  # where Python looks for modules
    variables: dict[str, str]  # of the environment, those of cplab

    @staticmethod
    def here() -> "Surroundings":
        """Those of this process."""
        variables = {name: text for name, text in os.environ.items() if name.startswith("CPLAB_")}
        return Surroundings(os.getcwd(), [*sys.path], variables)

    def take_over(self) -> None:
        """Make them those of this process."""
        os.chdir(self.folder)
        sys.path[:] = self.path
        for name in [name for name in os.environ if name.startswith("CPLAB_")]:
            del os.environ[name]
        os.environ.update(self.variables)


def do_job(
    number: int, job: Job, surroundings: Surroundings, period: float
) -> tuple[Any, list[Note]]:
    """Do a job in this process, as the one that asks would.

    Arguments:
        number: of the job among those of this process.
        job: the job.
        surroundings: of a job, see `Surroundings`.
        period: seconds between two messages.

    Returns:
        what `do` returns, and what was not told yet.

    Raises:
        what `do` raises.
    """
    surroundings.take_over()
    forget_own_modules()
    forget_own_entries()
    tell = Teller(number, period)
    with prints_told(tell):
        try:
            outcome = do(job, tell, Stopped(number))
        except BaseException:
            tell.send()
            raise
    return outcome, tell.waiting


class Stopped(NamedTuple):
    """Whether a job of this worker is to end."""

    number: int

    def is_set(self) -> bool:
        return self.number in _stopped


class Teller:
    """Tells the process that asks what a job says, in a few messages a second."""

    def __init__(self, number: int, period: float) -> None:
        self.number = number
        self.period = period
        self.waiting: list[Note] = []
        self.next = -math.inf  # when the next message may be sent

    def __call__(self, notes: list[Note]) -> None:
        self.waiting += notes
        if time.monotonic() > self.next:
            self.send()

    def send(self) -> None:
        """Send what waits."""
        self.next = time.monotonic() + self.period
        _notes.put((self.number, self.waiting))
        self.waiting = []


class Printed(TextIOBase):
    """A standard output that tells what is printed."""

    def __init__(self, tell: Tell) -> None:
        self.tell_note = tell

    def write(self, text: str) -> int:
        self.tell_note([Note(printed=text)])
        return len(text)


@contextmanager
def prints_told(tell: Tell) -> Iterator[None]:
    """A context in which what is printed, and the warnings that Python shows, are told to the
    process that asks."""

    def tell_warning(message: Warning | str, *_: object) -> None:
        tell([Note(warning=str(message))])

    with warnings.catch_warnings(), redirect_stdout(Printed(tell)):
        warnings.showwarning = tell_warning  # type: ignore[assignment]
        yield
