"""Processes beside each other take turns at training; nobody waits for one that is dead."""

import threading
import time

import pytest
import torch

from cplab.engine.turns import core_turn

CPU = torch.device("cpu")
HOLD = """
import torch
from cplab.engine.turns import core_turn
torch.set_num_threads(1)
with core_turn(torch.device("cpu")):
    print("holds", flush=True)
    input()
"""


@pytest.fixture
def cores(monkeypatch, own_cache, one_thread):
    """Sets how many cores there are, for this process and those that it starts."""
    return lambda count: monkeypatch.setenv("LOKY_MAX_CPU_COUNT", str(count))


@pytest.mark.parametrize(("count", "threads", "together"), [(1, 1, 1), (2, 1, 2), (2, 2, 1)])
def test_no_more_train_at_once_than_have_cores(cores, count, threads, together):
    cores(count)
    torch.set_num_threads(threads)
    guard, inside, most = threading.Lock(), [0], []
    started = threading.Barrier(6)

    def train():
        started.wait()
        for _ in range(5):
            with core_turn(CPU):
                with guard:
                    inside[0] += 1
                    most.append(inside[0])
                time.sleep(0.01)
                with guard:
                    inside[0] -= 1

    every = [threading.Thread(target=train) for _ in range(6)]
    for one in every:
        one.start()
    for one in every:
        one.join()
    assert len(most) == 30
    assert max(most) == together


def test_a_process_that_was_killed_leaves_its_cores_and_nothing_else(cores, own_cache, python):
    cores(1)
    process = python(HOLD)
    assert process.stdout.readline().strip() == "holds"
    done = threading.Event()

    def train():
        with core_turn(CPU):
            done.set()

    waiting = threading.Thread(target=train)
    waiting.start()
    assert not done.wait(0.3)
    process.kill()
    assert done.wait(20)
    waiting.join()
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


def test_whoever_is_stopped_does_not_wait_and_a_gpu_never_does(cores, python):
    cores(1)
    process, stop = python(HOLD), threading.Event()
    assert process.stdout.readline().strip() == "holds"
    stop.set()
    with core_turn(CPU, stop), core_turn(torch.device("cuda")):
        pass
    process.kill()
    process.wait()


@pytest.fixture
def in_threads(cores, one_thread):
    """Runs functions at once on one core; each takes turns as `epoch`, which notes who had them."""
    cores(1)
    had, inside = [], []

    def run(*works):
        def epoch(name, seconds):
            with core_turn(CPU):
                inside.append(name)
                had.append((name, len(inside)))
                time.sleep(seconds)
                inside.remove(name)

        threads = [threading.Thread(target=work, args=(epoch,)) for work in works]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        return had

    return run


def test_who_trains_epoch_after_epoch_keeps_nobody_out(in_threads):
    def long_life(epoch):
        for _ in range(30):
            epoch("long", 0.03)

    def short_life(epoch):
        time.sleep(0.1)
        epoch("short", 0.03)

    names = [name for name, _ in in_threads(long_life, short_life)]
    assert names.index("short") < 15


def test_nobody_loses_patience_as_long_as_turns_go_on(in_threads, monkeypatch):
    monkeypatch.setattr("cplab.engine.turns.PATIENCE", 0.5)

    def life(epoch):
        for _ in range(2):
            epoch(threading.current_thread().name, 0.2)

    assert {count for _, count in in_threads(*[life] * 6)} == {1}


def test_where_a_turn_never_ends_others_go_on_beside_it(cores, python, monkeypatch):
    cores(1)
    monkeypatch.setattr("cplab.engine.turns.PATIENCE", 0.5)
    process = python(HOLD)
    assert process.stdout.readline().strip() == "holds"
    with core_turn(CPU):
        assert process.poll() is None
