"""The number of torch's threads for training a small network, by how busy the machine is now.

On two idle cores a second thread makes three blocks 1.5 times as quick. Beside a busy process it
can make them a hundred times as slow, since threads wait for each other at every layer.
"""

import math
import time
import timeit
from statistics import median
from threading import Event as Flag

import torch
import torch.nn.functional as F

MOST = 2  # threads; more were not measured, and the browser needs a core as well
SLOW, PATIENCE = 3, 3  # a slow batch takes 3 times as long as the quickest; 3 in a row are enough


def quickest_threads() -> int:
    """Return the number of threads with which a convolution of a small network is quicker now: one,
    or all that the process has, up to MOST."""
    x, weight = torch.zeros(128, 16, 16, 16), torch.zeros(16, 16, 3, 3)
    seconds, present = {}, torch.get_num_threads()
    for threads in {1, min(MOST, present)}:
        torch.set_num_threads(threads)
        times = timeit.repeat(lambda: F.conv2d(x, weight, padding=1), number=1, repeat=20)
        seconds[threads] = median(times)
    torch.set_num_threads(present)
    return min(seconds, key=lambda threads: seconds[threads])


class ThreadWatch(Flag):
    """An Event that is checked before each batch. It sets one thread once several batches in a row
    took much longer than the quickest one, since other work has begun."""

    def __init__(self, stop: Flag | None) -> None:
        super().__init__()
        self.stop = stop
        self.last, self.quickest, self.slow = math.nan, math.inf, 0

    def is_set(self) -> bool:
        now = time.perf_counter()
        seconds, self.last = now - self.last, now
        if seconds < self.quickest:
            self.quickest = seconds
        self.slow = self.slow + 1 if seconds > SLOW * self.quickest else 0
        if self.slow == PATIENCE:
            torch.set_num_threads(1)
        return self.stop is not None and self.stop.is_set()


def threads_of(rows: list[dict]) -> int:
    """The number of threads with which the parts of a run were trained; 0 if it changed."""
    numbers = {row["threads"] for row in rows}
    return numbers.pop() if len(numbers) == 1 else 0
