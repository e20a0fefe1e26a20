"""Segments on the workers of a Dask cluster, in stretches of some seconds: what a lost worker was
at goes on elsewhere from its last checkpoint, and a worker that comes later soon has work.
Checkpoints lie in the cache directory where workers share it, else travel with the stretches.
"""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from cplab import devices, registry
from cplab.checks import CplabError, Exhausted, installed, quote, require, tidy
from cplab.engine.checkpoints import folder, forget, write
from cplab.engine.pool import Crew
from cplab.engine.train import Measures, Trajectory, train_to

STRETCH = 5  # seconds
_alone = threading.Lock()  # one stretch at a time in a process: what torch is set to is global


@contextmanager
def cluster_crew(client: Any, device: str, measures: Measures, most: int | None) -> Iterator[Crew]:
    """The workers of a cluster. Where one declares a resource GPU, each segment takes one.

    Arguments: client, a distributed.Client or the address of a scheduler; most, how many segments
        may be under way, as many as workers can be kept busy with if None.
    """
    with installed():
        import dask
        from distributed import Client
        from distributed.scheduler import KilledWorker

    mark = folder() / f"{uuid.uuid4().hex}.cluster"  # whoever sees it shares the cache directory
    own = registry.dumps_own()
    homes: dict[Any, str] = {}  # of segments: the worker that was last at it
    ends: dict[Any, Path] = {}  # of segments: the checkpoint, if it has to travel

    def begin(segment: Any) -> Future:
        where: dict[str, Any] = {}
        if any("GPU" in w["resources"] for w in client.scheduler_info()["workers"].values()):
            where["resources"] = {"GPU": 1}
        elif segment in homes:  # of a card Dask would not think when work is stolen
            where |= {"workers": [homes[segment]], "allow_other_workers": True}
        checkpoint, content = ends.get(segment) or ends.get(segment.parent), None
        with suppress(OSError):
            content = checkpoint and (checkpoint.name, checkpoint.read_bytes())
        how = {"measures": measures, "stretch": STRETCH, **segment.last}
        given = (segment.spec, segment.end, device, how, own, mark.name, content)
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            return executor.submit(train_stretch, *given, priority=segment.epochs, **where)

    def take(segment: Any, job: Future) -> Trajectory:
        result, content, homes[segment] = job.result()
        forget(ends.pop(segment, None))
        if content is not None:
            result.checkpoint = ends[segment] = folder() / result.checkpoint.name
            write(result.checkpoint, content)
        return result

    with ExitStack() as stack:
        if isinstance(client, str):
            try:
                client = stack.enter_context(Client(client, timeout="20s"))
            except (OSError, ValueError) as error:
                raise CplabError(
                    f"there is no Dask scheduler at {client!r}: give its address, as in "
                    "tcp://host:8786"
                ) from error
        require(hasattr(client, "get_executor"), f"client {quote(client)} is no Client: give one")
        executor = client.get_executor(pure=False)
        write(mark, b"")
        try:
            yield Crew(begin, take, lambda: most or max(1, 2 * sum(client.nthreads().values())))
        except (KilledWorker, CancelledError) as error:
            raise Exhausted(
                f"workers of the cluster died at the same work again and again ({error}): what was "
                "trained is kept; give them more memory, then ask again"
            ) from error
        finally:
            executor.shutdown(wait=False)
            forget(mark)


def train_stretch(
    spec: Any, end: int, device: str, how: dict, own: str, mark: str, content: tuple | None
) -> tuple[Trajectory, bytes | None, str]:
    """A stretch of a life on a worker; its checkpoint, if that travels; the worker's address."""
    from distributed import get_worker

    with _alone:
        registry.load_own(own)
        tidy()
        shared = (folder() / mark).exists()
        if content and not shared:
            write(folder() / content[0], content[1])
        found = train_to(spec, end, device=devices.pick(device), **how)
        left = None
        with suppress(OSError):
            left = None if shared or not found.checkpoint else found.checkpoint.read_bytes()
        return found, left, get_worker().address
