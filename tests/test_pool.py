"""Where training runs: devices, worker processes, and the ways in which they fail."""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress

import pytest
import torch
from conftest import says

from cplab import devices, optimizers
from cplab.checks import CplabError, Exhausted
from cplab.engine import lives, pool, train
from cplab.results import ask
from cplab.results.store import without_times
from cplab.runs import Run

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped", "one_thread")


def a_run(*window, **fields):
    return Run(*window, **{"profile": "ci", "dataset": "mnist", "recovery": 2, **fields})


@pytest.fixture
def two_cores(monkeypatch):
    """One thread for each of two workers, which equal bits need."""
    monkeypatch.setattr(pool, "usable_cores", lambda: 2)


def grown(specs, measures=None, **context):
    return {
        spec: (without_times(one.values), without_times(one.measured))
        for spec, one in lives.trajectories(specs, train.Context("cpu", **context), measures)
    }


# Workers ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("two_cores")
def test_lives_in_two_workers_equal_those_in_this_process_and_each_epoch_is_reported_once():
    some = [a_run("blur", 0, n, seed=seed) for n in (1, 3) for seed in (0, 1)]
    some += [a_run("noise", 1, 1, optimizer="adam"), a_run(schedule="fixed", recovery=0, onset=1)]
    reports = []
    found = grown(some, workers=2, report=lambda spec, row: reports.append((spec, row["epoch"])))
    assert found == grown(some, workers=1)
    assert len(reports) == sum(root.epochs for root in lives.plan(some))


LONG = [a_run(onset=10_000, seed=seed) for seed in (0, 1)]


class Halt(Exception):
    """Not one of cplab's errors."""


@pytest.mark.usefixtures("two_cores")
def test_an_error_while_a_report_is_taken_ends_training_and_stays_what_it_is():
    reports = []

    def report(spec, row):
        reports.append(row)
        raise Halt

    with pytest.raises(Halt):
        grown(LONG, workers=2, report=report)
    assert len(reports) == 1


@pytest.mark.usefixtures("two_cores")
def test_no_thread_of_the_workers_is_left_at_the_end(monkeypatch):
    """An exit would cut off what it frees, with a warning on standard error."""
    run = threading.Thread.run

    def run_slowly(thread):  # as on a busy machine
        run(thread)
        time.sleep(0.3)

    before = threading.enumerate()
    monkeypatch.setattr(threading.Thread, "run", run_slowly)
    grown([a_run(seed=seed) for seed in (0, 1)], workers=2)
    assert not {*threading.enumerate()}.difference(before)


@pytest.mark.usefixtures("two_cores")
def test_the_death_of_a_worker_is_one_clear_line():
    def kill(spec, row):
        for child in multiprocessing.active_children():
            with suppress(ProcessLookupError):  # if it has died already
                os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(Exhausted) as error:
        grown(LONG, workers=2, report=kill)
    says(error, "worker", "workers=1", "--device cpu")


ORPHANS = """
import threading, cplab
from cplab.engine import lives, train

def report(run, row):
    print("at work", flush=True)

runs = [cplab.Run(profile="ci", dataset="mnist", onset=90_000, seed=s) for s in (0, 1)]
list(lives.trajectories(runs, train.Context("cpu", 2, report=report)))
"""


def test_workers_leave_when_their_parent_is_killed(python):
    process = python(ORPHANS)
    assert process.stdout.readline() == "at work\n", process.stderr.read()
    process.kill()
    process.stdout.read()  # which ends when nobody holds its other end any more


@pytest.mark.parametrize("workers", [0, -1, 1.5, "x", True])
def test_a_number_of_workers_that_is_none_is_refused(workers):
    with pytest.raises(CplabError) as error:
        list(ask.collect([a_run()], workers=workers))
    says(error, repr(workers), "workers")


def test_a_crew_has_a_process_for_each_core_where_that_pays(monkeypatch):
    monkeypatch.setattr(lives, "usable_cores", lambda: 4)
    course = [Run(seed=seed) for seed in range(6)]
    assert lives.crew_size(course, "cpu") == 4
    assert lives.crew_size(course[:3], "cpu") == 3
    assert lives.crew_size(course[:1], "cpu") == 1
    tiny = [Run(profile="ci", seed=seed) for seed in range(6)]
    assert lives.crew_size(tiny, "cpu") == 1
    assert lives.crew_size([*tiny, *course], "cpu") == 4


# Failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["train_epoch", "make_task"])
@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried 20 GiB.\nGPU 0 has less."), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), "memory"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors"), "GPU failed"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "GPU failed"),
        (RuntimeError("The NVIDIA driver on your system is too old (11040)."), "GPU failed"),
    ],
    ids=str,
)
def test_too_little_memory_or_a_lost_gpu_ends_in_one_clear_line(monkeypatch, cause, words, where):
    def fail(*given):
        raise cause

    monkeypatch.setattr(train, where, fail)
    with pytest.raises(Exhausted) as error:
        grown([a_run()], workers=1)
    says(error, words, "kept", "--device cpu", str(cause).partition("\n")[0])


# Devices ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [(), ("mps",), ("cuda",), ("cuda", "mps")])
def test_auto_takes_the_first_device_that_is_there(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int("cuda" in there))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    with monkeypatch.context() as patch:
        patch.setattr(devices, "can_train", lambda name: True)
        assert devices.pick("auto").type == devices.pick().type == (*there, "cpu")[0]
    for name in (*there, "cpu"):
        assert devices.pick(name).type == name
    if "cuda" in there:
        assert devices.pick("cuda:0") == torch.device("cuda:0")
        with pytest.raises(CplabError) as error:
            devices.pick("cuda:1")
        says(error, "cuda:1")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "tpu", "", "cpu:x", "CPU", None, 3])
def test_a_device_that_is_not_there_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(CplabError) as error:
        devices.pick(name)
    says(error, repr(name), "cpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
@pytest.mark.parametrize(
    ("module", "missing"),
    [
        (torch.nn.functional, "interpolate"),
        (torch.nn.functional, "conv2d"),
        (optimizers, "sgd"),
        (torch, "autocast"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_auto_leaves_out_a_device_that_lacks_what_training_needs(
    monkeypatch, name, module, missing
):
    def refuse(*given, **how):
        raise NotImplementedError(f"{missing} is not there")

    monkeypatch.setattr(torch, "device", lambda name: CPU)  # as if this one were it
    assert devices.can_train(name)
    devices.can_train.cache_clear()
    monkeypatch.setattr(module, missing, refuse)
    assert not devices.can_train(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_gpu_that_cannot_be_used_keeps_no_result_from_being_shown(monkeypatch, device):
    known, new = a_run(), a_run(onset=1)
    result = ask.run(known, device="cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # but it is not
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert ask.run(known, device=device) == result
    assert ask.sweep([known], device=device) == [result]
    assert ask.at_hand([known, Run(seed=77)], device=device, seconds=0) == {known: result}
    if device == "auto":
        assert ask.run(new).device.startswith("cpu")
    else:
        with pytest.raises(CplabError) as error:
            ask.run(new, device=device)
        says(error, "--device cpu")


def test_float32_on_a_gpu_is_not_tf32():
    before = torch.backends.cudnn.allow_tf32
    for arithmetic, tf32 in (("float32", False), ("native", True)):
        with devices.autocast(CPU, arithmetic):
            assert torch.backends.cudnn.enabled
            assert torch.backends.cudnn.deterministic
            assert torch.backends.cudnn.allow_tf32 == tf32
    assert torch.backends.cudnn.allow_tf32 == before
    assert not torch.backends.cudnn.deterministic


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_step_on_a_gpu_gives_the_same_bits_twice():
    run = a_run("blur", 0, 2)
    how = {"device": torch.device("cuda")}
    first, again = (train.train_to(run, run.epochs, **how).training(run) for _ in range(2))
    assert without_times(first.values) == without_times(again.values)
