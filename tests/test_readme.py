"""What the README says and shows holds."""

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cplab import Run, cli, quantities, results, specs, statistics

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.S | re.M)
PYTHON = [text for language, text in BLOCKS if language == "python"]
LINES = [
    line for language, text in BLOCKS if language in ("", "bash") for line in text.splitlines()
]
COMMANDS = [line.partition(" #")[0].strip() for line in LINES if line.strip()]


def better_on_blur(run, other):
    """Points above another run on blurred test images, in the end."""

    def right(one):
        last = (one.epochs - 1,)
        found = quantities.result(one, {"blurred": last}).measured["blurred"][last[0]]
        return quantities.Terms({quantities.shared_beginning(one): 100 * found["blurred"]})

    return right(run) - right(other)


def more_harm(run, other):
    """Points of harm above that of another run."""
    return quantities.harm(run) - quantities.harm(other)


def each_more_harm(run, other):
    return quantities.each_seed(more_harm, run, other)


def jacobian_at_peak(run):
    """The squared Jacobian where the trace is highest, as a part of what it is in the end."""
    known = quantities.trace_by_layer(run, of="jacobian")
    peak = min(known, key=lambda epoch: abs(epoch + 1 - quantities.trace_peak(run)))
    return known[peak].sum() / known[run.epochs - 1].sum()


def test_its_figures_are_those_of_the_shipped_results():
    measured = []
    for quantity, sign, point in (
        (quantities.harm, 1, ("blur", 0, 8)),
        (quantities.harm, 1, ("blur", 24, 8)),
        (quantities.gain_over_newborn, -1, ("blur", 0, 16)),
        (quantities.gain_over_newborn, 1, ("flip", 0, 16)),
        (quantities.equal_training_loss, 1, ("blur", 0, 8)),
        (quantities.equal_training_loss, 1, ("blur", 24, 8)),
    ):
        values = sign * quantities.each_seed(quantity, Run(*point))
        assert len(values) == (20 if point == ("blur", 0, 8) else 10)
        measured.append(statistics.describe(values).partition(" (")[0])
    clothes, fitted = (8, {"dataset": "fashion_mnist"}), (12, {"profile": "matched"})
    for quantity, (length, how) in (
        (quantities.harm, clothes),
        (quantities.harm, fitted),
        (quantities.lost_time, clothes),
    ):
        for onset in (0, 24):
            values = quantities.each_seed(quantity, Run("blur", onset, length, **how))
            assert len(values) == 10
            measured.append(statistics.describe(values).partition(" (")[0])
    for quantity, recovery in (
        (quantities.lost_time, 15),
        (quantities.lost_time, 120),
        (quantities.harm, 120),
        (quantities.harm, 240),
    ):
        values = quantities.each_seed(quantity, Run("blur", 0, 16, recovery=recovery))
        assert len(values) == (10 if recovery == 15 else 5)
        measured.append(statistics.describe(values).partition(" (")[0])
    mean, half = statistics.mean_and_half(values)
    assert abs(mean) <= half  # which chance may leave
    for pace, seeds in ((10, 5), (1, 5)):
        how = {"recovery": 160 // pace, "schedule": "paper", "pace": pace}
        for deficit in ("flip", "blur"):
            values = quantities.each_seed(quantities.harm, Run(deficit, 0, 140 // pace, **how))
            assert len(values) == seeds
            measured.append(statistics.describe(values).partition(" (")[0])
    for deficit, sign in (("flip", -1), ("blur", 1)):
        slow, quick = (
            Run(deficit, 0, 140 // pace, 160 // pace, schedule="paper", pace=pace)
            for pace in (1, 10)
        )
        values = sign * each_more_harm(slow, quick)
        assert len(values) == 5
        measured.append(statistics.describe(values).partition(" (")[0])
    for pace in (10, 1):
        run = Run("permute", 0, 140 // pace, 160 // pace, schedule="paper", pace=pace)
        values = quantities.each_seed(quantities.harm, run)
        assert len(values) == 5
        measured.append(statistics.describe(values).partition(" (")[0])
    for kind, end, sign in (
        ("blur", 60, 1),
        ("blur", 140, -1),
        ("flip", 140, -1),
        ("noise", 140, 1),
    ):
        run = Run(kind, 0, end, 160, schedule="paper", pace=1)
        values = sign * quantities.each_seed(quantities.harm, run, clock="running")
        assert len(values) == 5
        measured.append(statistics.describe(values).partition(" (")[0])
    for rate, sign in ((1, -1), (10, 1)):
        run = Run("blur", 0, 16, optimizer="adam", rate=rate)
        born = quantities.each_seed(quantities.accuracy, run.newborn())
        for values in (born, sign * quantities.each_seed(quantities.harm, run)):
            assert len(values) == 5
            measured.append(statistics.describe(values).partition(" (")[0])
    for width in (8, 32, 48):
        values = quantities.each_seed(quantities.harm, Run("blur", 0, 16, model=f"allcnn-{width}"))
        assert len(values) == 5
        measured.append(statistics.describe(values).partition(" (")[0])
    pair = [Run("blur", 0, 16, model=m, schedule="fixed") for m in ("depth1-68", "depth3-16")]
    born = [quantities.each_seed(quantities.accuracy, run.newborn()) for run in pair]
    gains = [quantities.each_seed(quantities.gain_over_newborn, run) for run in pair]
    for values in (*born, gains[0], -gains[1]):
        assert len(values) == 5
        measured.append(statistics.describe(values).partition(" (")[0])
    for depth in (1, 2, 3):
        run = Run("blur", 0, 16, recovery=60, model=f"depth{depth}-16", schedule="fixed")
        values = quantities.each_seed(quantities.harm, run)
        assert len(values) == 5
        measured.append(statistics.describe(values).partition(" (")[0])
        mean, half = statistics.mean_and_half(quantities.each_seed(quantities.lost_time, run))
        assert abs(mean) <= half  # no lost time is seen any more
    wide, three = (replace(run, recovery=60) for run in pair)
    for values in (quantities.each_seed(quantities.harm, wide), each_more_harm(three, wide)):
        assert len(values) == 5
        measured.append(statistics.describe(values).partition(" (")[0])
    clear = Run(onset=24, profile="fit")
    for values, digits in (
        (quantities.each_seed(better_on_blur, Run("blur", 0, 16), Run()), 1),
        (quantities.each_seed(quantities.trace_remaining, clear), 2),
        (quantities.each_seed(jacobian_at_peak, clear), 2),
    ):
        assert len(values) == 5
        measured.append(statistics.describe(values, digits).partition(" (")[0])
    assert re.findall(r"\*\*(\d+\.\d+ ± \d+\.\d+)(?!\d|\*\* \(2 seeds)", README) == measured
    slim = [("blur", end) for end in (20, 60, 100, 140)] + [
        (d, 140) for d in ("noise", "flip", "permute")
    ]
    lives = [Run(deficit, 0, end, profile="slim") for deficit, end in slim]
    single = [quantities.each_seed(quantities.harm, run) for run in lives]
    single.append(quantities.each_seed(quantities.lost_time, lives[3]))
    few = re.findall(r"\*\*(−?\d+\.\d(?: ± \d+\.\d)?)\*\* (\([12] seeds?\))", README)
    assert [*map(" ".join, few)] == [*map(statistics.describe, single)]


@pytest.mark.timeout(200)
def test_its_python_runs_and_trains_nothing_long(tmp_path):
    """As one script, since a block goes on where the one before ended."""
    script = tmp_path / "readme.py"
    script.write_text("\n".join(PYTHON))
    runpy.run_path(str(script))
    trained = [found.spec for kind in specs.kinds() for found in results.every_result(kind, "live")]
    assert all(getattr(spec, "profile", "") == "ci" for spec in trained)


def test_there_is_python_and_there_are_commands():
    assert PYTHON
    assert {shlex.split(line)[0] for line in COMMANDS} >= {"cplab", "make"}


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_can_be_given(line):
    program, *words = shlex.split(line)
    if program == "cplab":
        assert callable(cli.parse_words(words).command)
    elif program == "python":
        plain = words[: next((i for i, w in enumerate(words) if w[:2] == "--"), len(words))]
        subprocess.run([sys.executable, *plain, "--help"], cwd=ROOT, check=True, timeout=100)
    elif program == "make" and shutil.which("make"):
        subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, timeout=100)
    else:
        assert program in ("make", "conda", "pip", "git", "cd", "uvx", "pipx", "docker")
