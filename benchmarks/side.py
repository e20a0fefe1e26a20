"""Eight keys trained by eight processes at once, against one process that trains all of them:
python -m benchmarks.side [EPOCHS]"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable

KEYS = 8
TRAIN = """
import sys
import cplab
cplab.run(profile="ci")  # loads what training needs
print("ready", flush=True)
sys.stdin.readline()
for seed in map(int, sys.argv[2:]):
    cplab.run(deficit="blur", length=2, recovery=int(sys.argv[1]) - 2, seed=seed)
"""


def seconds(groups: Iterable[Iterable[int]], epochs: int) -> float:
    """How long processes take that begin together, each with its own seeds.

    Arguments: groups, the seeds of each process; epochs, of a life.
    """
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "CPLAB_CACHE": cache}
        started = [
            subprocess.Popen(
                [sys.executable, "-c", TRAIN, str(epochs), *map(str, seeds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=env,
                text=True,
            )
            for seeds in groups
        ]
        for one in started:
            one.stdout.readline()
        began = time.perf_counter()
        for one in started:
            one.stdin.write("go\n")
            one.stdin.flush()
        failed = sum(one.wait() != 0 for one in started)
        if failed:
            raise SystemExit(f"{failed} of {len(started)} processes failed")
        return time.perf_counter() - began


if __name__ == "__main__":
    epochs = int(sys.argv[1]) if sys.argv[1:] else 17
    seeds = range(100, 100 + KEYS)  # of which nothing is shipped
    one, many = seconds([seeds], epochs), seconds([[seed] for seed in seeds], epochs)
    print(f"{KEYS} lives of {epochs} epochs, course: {one:.0f} s by one process, ", end="")
    print(f"{many:.0f} s by {KEYS} at once: throughput {one / many:.2f} of the serial one")
