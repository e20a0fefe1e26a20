"""The training loop, and a set of runs as a tree of trajectories that share their beginnings.

Every random number and learning rate is a function of (seed, epoch), and a checkpoint holds all
that an epoch passes on to the next; so a run that branches from a checkpoint equals the same run
trained alone, bit for bit on one machine at one number of threads. A checkpoint is named by a hash
of the steps that led to it: whoever has the same steps to go through can start from it.
"""

import hashlib
import json
import math
import multiprocessing
import os
import platform
import re
import signal
import threading
import time
import timeit
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplab import data, deficits, models
from cplab.experiment import PROFILES, CplabError, Run, whole

CHECKPOINT_SECONDS = 5  # an interrupted run loses about this much
CHECKPOINT_DAYS = 7  # and may go on for so long


class Cancelled(CplabError):
    """Training was stopped; it goes on from its last checkpoint when asked again."""

    exit_code = 130


class Exhausted(CplabError):
    """Memory does not suffice, or a worker process died, which mostly has the same cause."""

    exit_code = 1


class Diverged(CplabError):
    """The loss is no longer finite."""

    exit_code = 1


# The machine ------------------------------------------------------------------------------------


def pick_device(name: str = "auto") -> torch.device:
    """cuda, mps or cpu; `auto` takes the first that is there. Raises CplabError for one that is
    not."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(n for n, found in there.items() if found)
    kind, colon, number = str(name).partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not there.get(kind) or (colon and not (number.isdecimal() and int(number) < count)):
        found = ", ".join(n for n, is_there in there.items() if is_there)
        raise CplabError(f"device {name!r} is not to be had: this machine has {found}")
    return torch.device(name)


def machine(device: torch.device) -> str:
    """Device and kind of chip, as far as bits depend on it: cuda NVIDIA H200, cpu AVX2 AMD EPYC."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    try:
        names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    chip = names[0] if names else platform.processor() or platform.machine()
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()} {chip}"


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is native there; elsewhere training is in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, check, bool)() for check in checks)
    return False


def autocast(device: torch.device):
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device))


# The loop ---------------------------------------------------------------------------------------


def mix(*parts) -> int:
    """A seed for torch's generators out of several numbers."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])


_seeding = threading.Lock()


@contextmanager
def seeded(seed: int):
    """torch's own generator, started from `seed` for one thread at a time and put back after."""
    with _seeding, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def start(run: Run, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Network and optimiser at epoch 0: the same initial weights for all runs of a seed."""
    images = data.images(run.dataset, run.profile, device)
    with seeded(mix(run.seed)):
        net = models.build(run.model, channels=len(images.mean)).to(device)
    p = run.settings
    return net, torch.optim.SGD(
        net.parameters(), lr=0.0, momentum=p.momentum, weight_decay=p.weight_decay, fused=True
    )


def batches(run: Run, epoch: int, images: data.Images) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of training data on its device: shuffled, shifted, mirrored, under the deficit.

    Yields images (batch, C, H, W), normalised, channels last, and labels (batch,).
    """
    p, step, device = run.settings, run.steps[epoch], images.train_x.device
    count, size = len(images.train_y), p.size
    random = torch.Generator().manual_seed(mix(run.seed, epoch))
    order = torch.randperm(count, generator=random).to(device)
    shift = torch.randint(2 * p.shift + 1, (2, count), generator=random).to(device)
    mirror = (torch.rand(count, generator=random) < 0.5 * p.mirror).to(device)
    padded = F.pad(images.train_x, (0, 0, *[p.shift] * 4))
    picture, row, column, _ = padded.stride()
    crops = padded.as_strided(  # every crop of every image, as a view
        (count, 2 * p.shift + 1, 2 * p.shift + 1, size, size, padded.shape[3]),
        (picture, row, column, row, column, 1),
    )
    for index in order.split(p.batch):
        x = crops[index, shift[0, index], shift[1, index]]
        x = torch.where(mirror[index, None, None, None], x.flip(2), x)
        yield deficits.see(
            images.normal(x), images.train_y[index], step.deficit, index, run.seed, count
        )


def train_epoch(
    run: Run, epoch: int, images: data.Images, net, optimizer, stop: threading.Event | None = None
) -> float:
    """One epoch of SGD. Returns the mean training loss. Raises Cancelled or Diverged."""
    net.train()
    for group in optimizer.param_groups:
        group["lr"] = run.steps[epoch].lr
    total = torch.zeros((), device=images.train_x.device)
    for x, y in batches(run, epoch, images):
        if stop is not None and stop.is_set():
            raise Cancelled("stopped: ask for the same run again to go on from its last checkpoint")
        with autocast(x.device):
            loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(y)
    mean = total.item() / len(images.train_y)
    if not math.isfinite(mean):
        raise Diverged(
            f"the loss is {mean} at epoch {epoch} (learning rate {run.steps[epoch].lr:.3g}): "
            f"no record is kept of {run.canonical}; take a smaller learning rate"
        )
    return mean


@torch.inference_mode()
def evaluate(net: nn.Module, images: data.Images, batch: int = 500) -> float:
    """The fraction of clear test images that the network names rightly."""
    net.eval()
    right = torch.zeros((), dtype=torch.long, device=images.test_x.device)
    for x, y in zip(images.test_x.split(batch), images.test_y.split(batch), strict=True):
        with autocast(x.device):
            logits = net(images.normal(x))
        right += (logits.argmax(1) == y).sum()
    return right.item() / len(images.test_y)


class Trajectory(NamedTuple):
    """What training leaves behind, and how it came about.

    rows: one for each epoch: epoch, lr, train_loss, test_accuracy (0 to 1), seconds.
    """

    rows: list[dict]
    copy: str  # of the data set
    device: str
    precision: str
    threads: int
    checkpoint: Path | None  # of its end, if it was to be kept


@contextmanager
def memory_named():
    """One clear line instead of the many ways to run out of memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        words = ("out of memory", "can't allocate memory", "not enough memory")
        if isinstance(error, RuntimeError) and not any(w in str(error).lower() for w in words):
            raise
        said = str(error).partition("\n")[0][:100] or "MemoryError"
        raise Exhausted(
            f"the memory does not suffice ({said}): what was trained is kept; ask again with "
            "fewer workers, a smaller profile or --device cpu"
        ) from error


@memory_named()
def advance(
    run: Run,
    end: int,
    *,
    device: torch.device,
    keep: bool = False,
    stop: threading.Event | None = None,
    report: Callable[[Run, dict], None] = lambda run, row: None,
) -> "Trajectory":
    """Train `run` from its deepest checkpoint up to epoch `end` (exclusive).

    Arguments: keep, leave a checkpoint of the end for branches; stop, checked before each batch;
        report, called with (run, row) after each epoch.
    Returns: the Trajectory from epoch 0.
    Raises: Cancelled, Diverged, Exhausted.
    """
    names = checkpoint_names(run, device)
    images = data.images(run.dataset, run.profile, device)
    net, optimizer = start(run, device)
    rows, ours = restore(names, end, net, optimizer)  # ours: the checkpoint on the way, if any
    saved = time.monotonic()
    for row in rows:
        report(run, row)
    for epoch in range(len(rows), end):
        began = time.perf_counter()
        loss = train_epoch(run, epoch, images, net, optimizer, stop)
        accuracy = evaluate(net, images)
        rows.append(
            {
                "epoch": epoch,
                "lr": run.steps[epoch].lr,
                "train_loss": loss,
                "test_accuracy": accuracy,
                "seconds": time.perf_counter() - began,
            }
        )
        last = epoch == end - 1
        if keep and last:
            save(names[epoch + 1], net, optimizer, rows)
        elif not last and time.monotonic() - saved > CHECKPOINT_SECONDS:
            before, ours = ours, on_the_way(names[epoch + 1])
            save(ours, net, optimizer, rows)
            forget(before)
            saved = time.monotonic()
        report(run, rows[-1])
    forget(ours)
    return Trajectory(
        rows,
        images.copy,
        machine(device),
        "bf16" if has_bf16(device) else "float32",
        torch.get_num_threads(),
        names[end] if keep else None,
    )


def estimate(runs: list[Run], device: str = "auto") -> float:
    """Seconds that training these runs one after another in this process would take, from a few
    steps timed on random images."""
    where = str(pick_device(device))
    return sum(
        root.epochs * seconds_per_epoch(root.run.model, root.run.profile, where)
        for root in plan(runs)
    )


@lru_cache
def seconds_per_epoch(model: str, profile: str, device: str) -> float:
    p, where = PROFILES[profile], torch.device(device)
    with seeded(0):
        net = models.build(model).to(where)
        x = torch.randn(p.batch, 3, p.size, p.size).to(where, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9, fused=True)
    y = torch.zeros(p.batch, dtype=torch.long, device=where)

    def step() -> float:
        with autocast(where):
            loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()  # waits for the device

    def look() -> float:
        with torch.inference_mode(), autocast(where):
            return net(x).sum().item()

    return sum(
        images / p.batch * min(timeit.repeat(work, number=2, repeat=4)) / 2
        for work, images in ((step, p.train_images), (look, p.test_images))
    )


# Checkpoints ------------------------------------------------------------------------------------


def checkpoint_names(run: Run, device: torch.device) -> list[Path]:
    """The checkpoint before each epoch and after the last; the same for runs of the same steps.

    Threads, device and number format are part of the name, since they are part of the bits.
    """
    where = data.cache_dir() / "checkpoints"
    images = data.images(run.dataset, run.profile, device)
    root = (images.copy, run.model, run.profile, run.seed, run.canonical.split()[0])
    state = repr((*root, device.type, has_bf16(device), torch.get_num_threads()))
    names = []
    for step in (None, *run.steps):
        state = hashlib.sha256(f"{state} {step}".encode()).hexdigest()
        names.append(where / f"{state[:20]}.safetensors")
    return names


def on_the_way(path: Path) -> Path:
    """The name of a checkpoint that only an interruption needs; others are kept for branches."""
    return path.with_name(f"{path.stem}-on-the-way.safetensors")


def tensors_of(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All that one epoch passes on to the next."""
    state = dict(net.state_dict())
    for name, weight in net.named_parameters():
        momentum = optimizer.state[weight].get("momentum_buffer")
        if momentum is not None:
            state[f"momentum.{name}"] = momentum
    return state


def save(path: Path, net, optimizer, rows: list[dict]) -> None:
    """Write a checkpoint atomically. Where that is impossible (no room, no right), training goes
    on without; that the record cannot be kept either is said later."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.partial")
    state = {k: v.contiguous() for k, v in tensors_of(net, optimizer).items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, partial, metadata={"rows": json.dumps(rows)})
        partial.replace(path)
    except (OSError, SafetensorError):
        forget(partial)


def restore(names: list[Path], end: int, net, optimizer) -> tuple[list[dict], Path | None]:
    """Load the deepest checkpoint up to epoch `end` into net and optimiser. Returns its rows, and
    its path if an interruption left it."""
    from safetensors import SafetensorError, safe_open

    kept = reversed(names[1 : end + 1])
    for path in (either for name in kept for either in (name, on_the_way(name))):
        try:
            with safe_open(path, "pt") as file:
                rows = json.loads(file.metadata()["rows"])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError:
            continue
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            forget(path)
            continue
        net.load_state_dict({k: v for k, v in state.items() if not k.startswith("momentum.")})
        for name, weight in net.named_parameters():
            if f"momentum.{name}" in state:
                momentum = torch.empty_like(weight).copy_(state[f"momentum.{name}"])
                optimizer.state[weight]["momentum_buffer"] = momentum
        return rows, None if path in names else path
    return [], None


def forget_old() -> None:
    """Forget checkpoints that interruptions left and nobody came back for."""
    for path in (data.cache_dir() / "checkpoints").glob("*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > CHECKPOINT_DAYS * 86400:
                forget(path)


def forget(path: Path | None) -> None:
    if path is not None:
        with suppress(OSError):
            path.unlink()


# The tree ---------------------------------------------------------------------------------------


@dataclass(eq=False)
class Segment:
    """A stretch of training between two branchings, or a branching and the end of a run."""

    run: Run  # one of those that go through it
    begin: int
    end: int
    done: list[Run] = field(default_factory=list)  # the runs that end here
    branches: list["Segment"] = field(default_factory=list)
    parent: "Segment | None" = None
    checkpoint: Path | None = None  # of its end, while branches need it

    def below(self) -> list["Segment"]:
        """This segment and all that branch from it."""
        return [self, *(s for branch in self.branches for s in branch.below())]

    @property
    def epochs(self) -> int:
        """Of this segment and of all that branch from it."""
        return sum(s.end - s.begin for s in self.below())

    def leave(self) -> None:
        """Begun and done with: the last to branch off removes the parent's checkpoint."""
        if self.parent:
            self.parent.branches.remove(self)
            if not self.parent.branches:
                forget(self.parent.checkpoint)


def by_size(segments: list[Segment]) -> list[Segment]:
    return sorted(segments, key=lambda s: s.epochs)


def plan(runs: list[Run]) -> list[Segment]:
    """A set of runs as a forest in which common beginnings stand once. Returns its roots."""
    forest = defaultdict(list)
    for run in dict.fromkeys(runs):
        forest[run.dataset, run.model, run.profile, run.seed].append(run)
    return [root for tree in forest.values() for root in grow(tree, 0, None)]


def grow(runs: list[Run], begin: int, parent: Segment | None) -> list[Segment]:
    """The segments that begin at an epoch up to which all `runs` have the same steps."""
    ways = defaultdict(list)
    for run in runs:
        ways[run.steps[begin]].append(run)
    segments = []
    for together in ways.values():
        end = begin + 1
        while all(r.epochs > end and r.steps[end] == together[0].steps[end] for r in together):
            end += 1
        segment = Segment(together[0], begin, end, parent=parent)
        segment.done = [r for r in together if r.epochs == end]
        going_on = [r for r in together if r.epochs > end]
        segment.branches = grow(going_on, end, segment) if going_on else []
        segments.append(segment)
    return segments


def trajectories(
    runs: list[Run],
    *,
    device: str = "auto",
    workers: int | None = None,
    stop: threading.Event | None = None,
    report: Callable[[Run, dict], None] = lambda run, row: None,
    claim: Callable[[list[Run]], list[Run] | None] = lambda runs: runs,
) -> Iterator[tuple[Run, Trajectory | Diverged]]:
    """Train a set of runs as a tree, several segments side by side where that pays.

    Arguments:
        runs: what to train.
        workers: processes, crew_size of the runs if not given.
        stop: an Event; once it is set, training ends before the next batch with Cancelled.
        report: called in this process with (run, row) after each epoch; an epoch that several
            runs share is reported once.
        claim: asked, with the runs that end there, before a segment is begun: which of them are
            wanted, or None for "ask again later".
    Yields: (run, its Trajectory) as each run ends, or (run, Diverged).
    Raises: Cancelled, Exhausted.
    """
    if workers is None:
        workers = crew_size(len(runs), device)
    workers = whole("workers", workers, least=1)
    device = pick_device(device)
    stop = stop or threading.Event()
    report = once(report)
    forget_old()
    ready = by_size(plan(runs))  # the last is next: the largest tree, depth first
    running: dict[Future, tuple[Segment, list[Run]]] = {}
    with crew(workers, device, stop, report) as begin:
        while ready or running:
            if stop.is_set():
                raise Cancelled("stopped: ask for the same again to go on where it was")
            for segment in reversed(ready[:]):
                if len(running) >= workers:
                    break
                wanted = claim(segment.done) if segment.done else []
                if wanted is None:
                    continue
                ready.remove(segment)
                if wanted or segment.branches:
                    running[begin(segment)] = segment, wanted
                else:
                    segment.leave()
            if not running:
                time.sleep(0.2)  # others are training all that is left
            for job in wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done:
                segment, wanted = running.pop(job)
                try:
                    result = job.result()
                except Diverged as error:
                    yield from ((run, error) for s in segment.below() for run in s.done)
                else:
                    segment.checkpoint = result.checkpoint
                    yield from ((run, result) for run in wanted)
                    ready += by_size(segment.branches)
                segment.leave()


def crew_size(runs: int, device: str = "auto") -> int:
    """How many processes train that many runs: one for each core on a CPU, this one alone for a
    single run or on a GPU."""
    return max(1, min(os.cpu_count() or 1, runs)) if pick_device(device).type == "cpu" else 1


def once(report: Callable[[Run, dict], None]) -> Callable[[Run, dict], None]:
    """`report`, called for the first of all runs that share an epoch."""
    seen = set()

    def first(run: Run, row: dict) -> None:
        stretch = run.dataset, run.model, run.profile, run.seed, run.steps[: row["epoch"] + 1]
        if stretch not in seen:
            seen.add(stretch)
            report(run, row)

    return first


@contextmanager
def crew(workers: int, device: torch.device, stop: threading.Event, report: Callable):
    """A function that begins a segment and returns its Future: in this process if `workers` is
    1, in one of several that share the cores otherwise."""
    if workers == 1:

        def begin_here(segment: Segment) -> Future:
            job = Future()
            try:
                job.set_result(
                    advance(segment.run, segment.end, device=device, keep=bool(segment.branches),
                            stop=stop, report=report)
                )  # fmt: skip
            except CplabError as error:
                job.set_exception(error)
            return job

        yield begin_here
        return

    context = multiprocessing.get_context("spawn")
    reports, halt, over = context.SimpleQueue(), context.Event(), threading.Event()

    def pass_on():
        ending = False
        while not ending:
            ending = over.wait(0.05)  # and then once more, for the last reports
            while not reports.empty():
                report(*reports.get())
            if stop.is_set():
                halt.set()

    def begin_there(segment: Segment) -> Future:
        with without_interrupt():  # a process that starts now inherits this
            return pool.submit(
                advance_there, segment.run, segment.end, str(device), bool(segment.branches)
            )

    threads = max(1, (os.cpu_count() or 1) // workers)
    messenger = threading.Thread(target=pass_on, daemon=True)
    messenger.start()
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=join_crew, initargs=(threads, reports, halt)
    ) as pool:
        try:
            yield begin_there
        except BrokenProcessPool as error:
            raise Exhausted(
                "a worker process died, mostly for want of memory: what was trained is kept; ask "
                "again with fewer workers (workers=1) or --device cpu; a script must start its "
                'sweep under `if __name__ == "__main__":`'
            ) from error
        finally:
            halt.set()
            pool.shutdown(cancel_futures=True)
            over.set()
            messenger.join()


@contextmanager
def without_interrupt():
    """Ctrl-C waits until this is over, where the system can do that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def join_crew(threads: int, reports, halt) -> None:
    """Prepare a worker process; Ctrl-C is the parent's to handle."""
    global _reports, _halt
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _reports, _halt = reports, halt


def leave_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def advance_there(run: Run, end: int, device: str, keep: bool) -> Trajectory:
    """`advance` in a worker process."""
    return advance(
        run,
        end,
        device=torch.device(device),
        keep=keep,
        stop=_halt,
        report=lambda run, row: _reports.put((run, row)),
    )
