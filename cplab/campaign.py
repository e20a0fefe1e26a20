"""The campaign: all runs behind the paper's figures, in order of value, trained piece by piece.

An exhibit is a figure or a claim and what it takes for one seed: runs, or studies of the thesis's
model. `work` trains as much of the list as fits in a time and leaves in a directory what the next
call goes on from, on another machine too (`carry.py`).
"""

import math
import statistics
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from cplab import carry, devices, kernels, records, studies, train, tree
from cplab.carry import find, held
from cplab.checkpoints import ON_THE_WAY
from cplab.experiment import PROFILES, CplabError, Run, one_of, whole

SEEDS = 5


# The list ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exhibit:
    """A figure or claim of the paper.

    of: a function of a profile's name and a seed that gives its runs, or the specs of its studies.
    """

    name: str
    words: str
    of: Callable[[str, int], list]


def scaled(profile: str, *epochs: int) -> list[int]:
    """Epochs of the paper as epochs of a profile."""
    return [*dict.fromkeys(round(epoch / PROFILES[profile].pace) for epoch in epochs)]


def like(profile: str, seed: int, fields: dict) -> Run:
    """A run without a deficit; the ci profile has practice images alone."""
    if PROFILES[profile].dataset == "practice":
        fields = {name: value for name, value in fields.items() if name != "dataset"}
    if "recovery" in fields:
        fields = fields | {"recovery": max(1, *scaled(profile, fields["recovery"]))}
    return Run(profile=profile, seed=seed, **fields)


def controlled(runs: list[Run]) -> list[Run]:
    """With both controls of each."""
    return [*dict.fromkeys(c for r in runs for c in (r, r.newborn(), r.equal_training()))]


def until(ends: tuple[int, ...], deficits: tuple[str, ...] = ("blur",), **fields) -> Callable:
    """A deficit from birth until one of several epochs."""

    def of(profile: str, seed: int) -> list[Run]:
        clear, lengths = like(profile, seed, fields), scaled(profile, *ends)
        return controlled(
            [replace(clear, deficit=d, length=length) for d in deficits for length in lengths]
        )

    return of


def window(length: int, onsets: tuple[int, ...], **fields) -> Callable:
    """A blur of so many epochs that begins at one of several."""

    def of(profile: str, seed: int) -> list[Run]:
        clear, [epochs] = like(profile, seed, fields), scaled(profile, length)
        begins = scaled(profile, *onsets)
        return controlled([replace(clear, deficit="blur", onset=o, length=epochs) for o in begins])

    return of


def together(*several: Callable) -> Callable:
    return lambda profile, seed: [*dict.fromkeys(r for of in several for r in of(profile, seed))]


def thesis(profile: str, seed: int) -> list:
    """The convolutional model of the thesis: figures 6 to 8, 12 and 15, and random architectures
    retrained; those that were pruned as well, once they are known."""
    if profile not in kernels.SIZES:
        return []
    size = kernels.SIZES[profile]
    pruned = kernels.Pruning(profile, seed=seed)
    specs = [pruned, *(replace(pruned, task=task) for task in kernels.TASKS[1:])]
    manners = ({"choice": "random"}, {"retrain": False}, {"choice": "random", "retrain": False})
    specs += [replace(pruned, **manner) for manner in manners]
    splits = [kernels.random_split(n, seed, size.kernels) for n in size.saved]
    if study := studies.find(pruned):
        pairs = zip(study.values["first"], study.values["second"], strict=True)
        splits += [pair for pair in dict.fromkeys(pairs) if sum(pair) in size.saved]
    return [*specs, *(kernels.Split(profile, *pair, seed) for pair in dict.fromkeys(splits))]


REMOVALS = tuple(range(0, 141, 20))
TRACED = {"recovery": 100, "trace": "every"}
ENDS = (30, 50, 70, 100, 220)  # of the deficits in figure 4
RESNET, DEPTH = {"model": "resnet18"}, {"schedule": "fixed"}
FC = {"model": "fc", "dataset": "mnist", "schedule": "fixed"}
DEPTHS = (0, 40, 80, 120, 160, 240)
SOME = (0, 40, 80, 140)
EXHIBITS = {
    e.name: e
    for e in (
        Exhibit("figure1-removal", "blur until an epoch, then 300 more", until(REMOVALS)),
        Exhibit("figure1-window", "blur for 40 epochs from an onset", window(40, REMOVALS)),
        Exhibit("figure2-flip", "images upside down until an epoch", until(REMOVALS, ("flip",))),
        Exhibit("figure2-labels", "permuted labels until an epoch", until(REMOVALS, ("permute",))),
        Exhibit("figure2-noise", "noise until an epoch", until((*REMOVALS, 160), ("noise",))),
        Exhibit(
            "figure3-fixed", "blur at a fixed learning rate",
            until((0, 40, 80, 120, 160, 240, 320, 400), schedule="fixed"),
        ),
        Exhibit("figure3-resnet", "blur, ResNet-18", until((*REMOVALS, 160, 180), **RESNET)),
        Exhibit(
            "figure3-fc", "blur, full connections on MNIST", until((*SOME, 240, 360, 480), **FC)
        ),
        Exhibit("figure3-depth1", "blur, n = 1", until(DEPTHS, model="depth1", **DEPTH)),
        Exhibit("figure3-depth2", "blur, n = 2", until(DEPTHS, model="depth2", **DEPTH)),
        Exhibit("figure3-depth3", "blur, n = 3", until(DEPTHS, model="depth3", **DEPTH)),
        Exhibit("poster-adam", "blur, Adam", until(SOME, optimizer="adam")),
        Exhibit("figure4-trace", "Fisher trace, All-CNN, blur until an epoch",
                until(ENDS, **TRACED)),
        Exhibit("figure4-resnet", "Fisher trace, ResNet-18, blur until an epoch",
                until(ENDS, **TRACED, **RESNET)),
        Exhibit("figure4-window", "blur for 60 epochs from an onset", window(60, REMOVALS)),
        Exhibit("figure4-windows-resnet", "blur for 40 and 60 epochs from an onset, ResNet-18",
                together(window(40, REMOVALS, **RESNET), window(60, REMOVALS, **RESNET))),
        Exhibit("figure5", "information by layer: none, until 40, until 100, blur and flip",
                until((40, 100), ("blur", "flip"), **TRACED)),
        Exhibit("schedules", "three schedules, blur and flip, both controls", together(*(
            until(SOME, ("blur", "flip"), schedule=s) for s in ("paper", "fixed", "recovery")))),
        Exhibit("momentum", "blur at momentum 0, which the paper may mean",
                until(SOME, momentum=0)),
        Exhibit("arithmetic", "blur in float32 throughout, to judge bfloat16",
                until((140,), arithmetic="float32")),
        Exhibit("thesis", "growth and pruning of kernels", thesis),
    )
}  # fmt: skip


def chosen(names: list[str] | None) -> list[Exhibit]:
    """The exhibits of these names, all if there is none, in order of value."""
    for name in names or ():
        one_of("exhibit", name, EXHIBITS)
    return [exhibit for name, exhibit in EXHIBITS.items() if not names or name in names]


def groups(
    profile: str, names: list[str] | None = None, part: int = 0, parts: int = 1
) -> Iterator[tuple[Exhibit, int, list]]:
    """What there is to do, in order: one seed of everything, then the next.

    Arguments: part, parts: only this share of the runs. Those that begin alike are in one share.
    Yields: (exhibit, seed, its runs or specs).
    Raises: CplabError for an unknown profile or exhibit, or no such share.
    """
    one_of("profile", profile, PROFILES)
    parts = whole("parts", parts, least=1)
    if whole("part", part) >= parts:
        raise CplabError(f"part {part} is not allowed: with {parts} parts give 0 to {parts - 1}")
    wanted, trunks = chosen(names), {}
    for seed in range(SEEDS):
        for exhibit in EXHIBITS.values():
            some = exhibit.of(profile, seed)
            numbers = [trunks.setdefault(trunk(one), len(trunks)) for one in some]
            if exhibit in wanted:
                mine = zip(some, numbers, strict=True)
                yield exhibit, seed, [one for one, n in mine if n % parts == int(part)]


def trunk(one) -> tuple:
    """What a run shares with those that it can share epochs with."""
    return (one.origin, one.steps[0]) if isinstance(one, Run) else (one,)


# Training ---------------------------------------------------------------------------------------


def work(
    budget: float,
    out: Path,
    *,
    profile: str = "paper",
    exhibits: list[str] | None = None,
    part: int = 0,
    parts: int = 1,
    device: str = "auto",
    stop: threading.Event | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Train what is missing, in order, for so many seconds; then leave all in `out`.

    Arguments:
        budget: seconds, saving included. What began to be measured or tested is finished.
        out: a directory: what an earlier call left there is taken in first. Processes that work
            side by side have one each.
        profile, exhibits, part, parts: as in groups.
        stop: an Event that ends it earlier.
        say: called with one line on what was done, and on what could not be.
    Raises: CplabError for bad input or a damaged file in out, devices.Exhausted.
    """
    budget, stop = whole("budget", budget, least=1), stop or threading.Event()
    timer = threading.Timer(budget - min(30, budget / 10), stop.set)
    timer.daemon = True
    timer.start()
    try:
        todo = list(groups(profile, exhibits, part, parts))
        where = devices.pick(device)
        with carry.directory(out):
            carried = carry.take_in(out)
            try:
                for exhibit, seed, some in todo:
                    do(exhibit, seed, some, where, stop, say)
                say("all of it is done")
            except train.Cancelled:
                say("the time is used up" if not timer.is_alive() else "stopped")
            finally:
                whole_list = [one for *_, some in todo for one in some]
                carry.leave(out, carried, whole_list, where, say)
    finally:
        timer.cancel()


def do(exhibit: Exhibit, seed: int, some: list, where, stop, say) -> None:
    """What is missing of an exhibit and a seed. Raises: train.Cancelled, devices.Exhausted."""
    from tqdm import tqdm

    missing = [one for one in some if not find(one)]
    if not missing:
        return
    if stop.is_set():
        raise train.Cancelled("stopped")
    runs = [one for one in missing if isinstance(one, Run)]
    total, done = sum(root.epochs for root in tree.plan(runs)), 0
    try:
        with tqdm(total=total, unit="epoch", desc=f"{exhibit.name}, seed {seed}") as bar:
            how = {"device": str(where), "workers": 1, "stop": stop, "frugal": True}
            how["report"] = lambda *_: bar.update()
            for some_runs in [*([run] for run in half_done(runs, where)), runs]:
                for _, result in records.collect(some_runs, **how):
                    if isinstance(result, Exception):
                        say(f"{exhibit.name}: {result}")
            specs = [one for one in missing if not isinstance(one, Run)]
            compute = partial(kernels.compute, device=str(where), stop=stop)
            for _ in studies.collect(specs, compute):
                bar.update()
    except (train.Cancelled, devices.Exhausted):
        raise
    except CplabError as error:  # images that are not at hand: others may be
        say(f"{exhibit.name} is left out: {error}")
    finally:
        done = sum(bool(find(one)) for one in missing)
        say(f"{exhibit.name}, seed {seed}: {done} of {len(missing)} that were missing")


def half_done(runs: list[Run], where: torch.device) -> list[Run]:
    """Those whose own last stretch was broken off: they need no trunk, which may not be here."""
    kept = {run: path for run, (path, _) in held(runs, where).items()}
    count = Counter(kept.values())
    own = [run for run, path in kept.items() if path and path.stem.endswith(ON_THE_WAY)]
    return [run for run in own if count[kept[run]] == 1]


# How far it is ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """Of an exhibit: how many runs and studies are done, begun (there is a checkpoint) and
    missing; seconds that are left, NaN where that is not known."""

    exhibit: Exhibit
    done: int
    begun: int
    missing: int
    seconds: float


def status(
    profile: str = "paper", exhibits: list[str] | None = None, device: str = "auto"
) -> Iterator[Progress]:
    """How far each exhibit is on this machine.

    The time left is that at the speed of its records of this kind of device. Where there are none,
    it is that of a few steps on random images, which take a while on a CPU at the paper's size,
    and the time of traces and of studies is not known.
    """
    where, wanted = devices.pick(device), {e.name: [] for e in chosen(exhibits)}
    for exhibit, _, some in groups(profile, exhibits):
        wanted[exhibit.name] += some
    found = {one: find(one) for some in wanted.values() for one in some}
    speed = Speed(where, [f for f in found.values() if isinstance(f, records.Record)])

    def progress(name: str, some: list) -> Progress:
        missing = [one for one in some if not found[one]]
        runs = [one for one in missing if isinstance(one, Run)]
        depths = {one: steps for one, (_, steps) in held(missing, where).items()}
        begun = sum(map(bool, depths.values()))
        seconds = sum(time_left(root, depths, speed) for root in tree.plan(runs))
        unknown = math.nan if len(runs) < len(missing) else 0.0
        counts = len(some) - len(missing), begun, len(missing) - begun
        return Progress(EXHIBITS[name], *counts, seconds + unknown)

    return (progress(name, some) for name, some in wanted.items())


class Speed:
    """Seconds of an epoch, a trace and an end, medians over records of the same kind of device."""

    def __init__(self, where: torch.device, found: list[records.Record]):
        self.where, self.times, machine = str(where), {}, devices.machine(where)
        for record in found:
            if record.device == machine:
                for what, seconds in spent(record):
                    at = what, record.run.model, record.run.dataset
                    self.times.setdefault(at, []).append(seconds)

    def of(self, what: str, run: Run) -> float:
        """`what` is epoch, trace or end. NaN where it is not known."""
        if times := self.times.get((what, run.model, run.dataset)):
            return statistics.median(times)
        return train.seconds_per_epoch(run, self.where) if what == "epoch" else math.nan


def spent(record: records.Record) -> Iterator[tuple[str, float]]:
    yield "epoch", record.seconds / record.run.epochs
    traces = [row["trace_seconds"] for row in record.curve if "trace_seconds" in row]
    if traces:
        yield "trace", statistics.median(traces)
    if record.final:
        yield "end", record.final["seconds"]


def time_left(root: tree.Segment, depths: dict[Run, int], speed: Speed) -> float:
    """Of the segments of a tree, apart from what checkpoints hold."""
    seconds = 0.0
    for segment in root.below():
        held = max(depths[run] for s in segment.below() for run in s.done)
        epochs = range(max(segment.begin, held), segment.end)
        seconds += len(epochs) * speed.of("epoch", segment.run)
        if traces := sum(map(segment.run.traced, epochs)):
            seconds += traces * speed.of("trace", segment.run)
        if segment.done and segment.run.trace != "none":
            seconds += speed.of("end", segment.run)
    return seconds


def duration(seconds: float) -> str:
    """`2 h 05 min`, `3 min`, or `not known`."""
    if math.isnan(seconds):
        return "not known"
    minutes = -(-round(seconds) // 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
