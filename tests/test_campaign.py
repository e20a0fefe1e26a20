"""The campaign: what is in it, that it stops in time, goes on, and leaves nothing out."""

import threading
from dataclasses import replace

import pytest
from cplab.engine.lives import plan

from benchmarks import operations
from cplab.engine import train
from cplab.errors import CplabError, Diverged
from cplab.profiles import PROFILES
from cplab.results import find, sweep
from cplab.results.result import outcome
from cplab.results.store import keep, live_paths
from cplab.runs import Run
from cplab.studies.pruning import KernelPruning, KernelSplit
from reproduction import __main__ as commands
from reproduction import campaign, cost, ladders

pytestmark = pytest.mark.usefixtures("nothing_shipped", "one_thread")
SMALL = "figure1-removal"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """One seed, and few points of the first exhibit."""
    monkeypatch.setattr(campaign, "SEEDS", 1)
    small = campaign.Exhibit(SMALL, "few", campaign.until((0, 10, 20), recovery=10))
    monkeypatch.setitem(campaign.EXHIBITS, SMALL, small)


def work(**how):
    """Train the small exhibit; returns the lines that it says."""
    lines = []
    how = {"profile": "ci", "exhibits": [SMALL], "device": "cpu", **how}
    campaign.work(100, say=lines.append, **how)
    return lines


def specs_of(name, profile="paper", seed=0):
    return campaign.EXHIBITS[name].of(profile, seed)


# The list -----------------------------------------------------------------------------------------


def test_one_seed_of_everything_comes_first_in_the_order_of_the_list(monkeypatch):
    monkeypatch.setattr(campaign, "SEEDS", 2)
    order = [(exhibit.name, seed) for exhibit, seed, _ in campaign.groups("ci")]
    assert order == [(name, seed) for seed in (0, 1) for name in campaign.EXHIBITS]
    assert [*campaign.EXHIBITS][:3] == ["figure1-removal", "figure1-window", "figure2-flip"]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_a_campaign_of_specs_of_its_own_and_of_the_seed(profile):
    for exhibit, _, some in campaign.groups(profile):
        assert len(some) == len({*some})
        assert some or exhibit.name == "thesis"
        assert {one.profile for one in some} <= {profile}
        assert {one.seed for one in exhibit.of(profile, 3)} <= {3}


def test_the_removal_sweep_is_the_paper_s_with_its_controls(monkeypatch):
    monkeypatch.undo()
    runs = specs_of(SMALL)
    blurred = [run for run in runs if run.deficit == "blur"]
    assert [run.length for run in blurred] == [20, 40, 60, 80, 100, 120, 140]
    newborn = Run(profile="paper")
    assert {run.newborn() for run in blurred} == {newborn} <= {*runs}
    assert {run.equal_training() for run in blurred} <= {*runs}
    assert sum(root.epochs for root in plan([newborn, *blurred])) == 2540
    assert {(r.schedule, r.recovery, r.model) for r in runs} == {("paper", 300, "allcnn-96")}


@pytest.mark.parametrize(
    ("name", "deficit", "length", "fields"),
    [
        ("figure1-window", "blur", 40, {"onset": 20}),
        ("figure2-labels", "permute", 140, {}),
        ("figure2-noise", "noise", 160, {}),
        ("figure3-fixed", "blur", 400, {"schedule": "fixed"}),
        ("figure3-resnet", "blur", 180, {"model": "resnet18-64"}),
        ("figure3-fc", "blur", 480, {"schedule": "fixed", "dataset": "mnist", "model": "fc-2500"}),
        ("figure3-depth3", "blur", 80, {"schedule": "fixed", "model": "depth3-96"}),
        ("poster-adam", "blur", 40, {"optimizer": "adam"}),
        ("figure4-resnet", "blur", 220, {"model": "resnet18-64", "recovery": 100}),
        ("figure5", "flip", 100, {"recovery": 100}),
        ("schedules", "flip", 140, {"schedule": "recovery"}),
        ("momentum", "blur", 140, {"momentum": 0}),
        ("arithmetic", "blur", 140, {"arithmetic": "float32"}),
    ],
)
def test_exhibits_hold_the_paper_s_runs_with_all_controls(name, deficit, length, fields):
    fields = {"deficit": deficit, "length": length, **fields}
    run = Run(profile="paper", **fields)
    assert {run, run.equal_training(), run.newborn(), run.without_window()} <= {*specs_of(name)}
    traced = name in ("figure4-resnet", "figure5")
    assert campaign.EXHIBITS[name].measure == (("trace", "ending") if traced else ())


def test_the_thesis_trains_what_pruning_left_once_it_is_known():
    before = {*specs_of("thesis", "ci")}
    [result] = sweep([KernelPruning("ci")], progress=False, device="cpu")
    pairs = [*zip(result.values["first"], result.values["second"], strict=True)]
    kept = {KernelSplit("ci", *pair, 0) for pair in pairs if sum(pair) in (9, 6, 3)}
    assert not kept <= before
    assert {*specs_of("thesis", "ci")} == before | kept


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"exhibits": ["figure9"]}, "figure1-removal"),
        ({"profile": "huge"}, "paper"),
    ],
)
def test_bad_input_is_refused(how, words):
    with pytest.raises(CplabError, match=words):
        work(**how)


# Going on -----------------------------------------------------------------------------------------


def test_what_is_broken_off_goes_on_and_ends_the_same(stop_after, epochs_trained, own_cache):
    lines = work(stop=stop_after(6))
    assert "stopped" in lines
    assert lines[-1] != "all of it is done"
    begun = len(live_paths())
    assert work()[-1] == "all of it is done"
    found = {spec: outcome(find(spec)) for spec in specs_of(SMALL, "ci")}
    assert begun < len(found) == len(live_paths())
    again = sweep(found, fresh=True, progress=False, workers=1, device="cpu")
    assert [outcome(result) for result in again] == [*found.values()]


def test_a_budget_that_is_exhausted_ends_it(monkeypatch):
    class Soon(threading.Timer):
        def start(self):  # as if the time were up at once
            self.function()

    monkeypatch.setattr(campaign.threading, "Timer", Soon)
    assert work() == ["the time budget is exhausted"]
    assert live_paths() == []


def test_an_exhibit_that_fails_is_told_and_the_others_go_on(monkeypatch):
    train_epoch = train.train_epoch

    def fail(spec, epoch, *rest):
        if spec.deficit == "none" and epoch == 2:
            raise Diverged("the loss is nan")
        return train_epoch(spec, epoch, *rest)

    monkeypatch.setattr(train, "train_epoch", fail)
    other = campaign.Exhibit("figure3-fc", "", lambda *_: [Run("blur", 0, 1, 1, "ci")])
    monkeypatch.setitem(campaign.EXHIBITS, "figure3-fc", other)
    lines = work(exhibits=[SMALL, "figure3-fc"])
    assert any("the loss is nan" in line for line in lines)
    assert find(Run("blur", 0, 1, 1, "ci")) is not None
    assert any(find(run) for run in specs_of(SMALL, "ci") if run.deficit == "blur")


def test_what_is_measured_is_asked_for(monkeypatch):
    runs = [Run("blur", 0, 1, 1, "ci")]
    exhibit = campaign.Exhibit(SMALL, "", lambda *_: runs, ("weight_norms",))
    sweep(runs, progress=False, device="cpu")
    assert exhibit.missing(runs) == runs
    monkeypatch.setitem(campaign.EXHIBITS, SMALL, exhibit)
    assert work()[-1] == "all of it is done"
    assert exhibit.missing(runs) == []


# How far it is ------------------------------------------------------------------------------------


def test_the_status_counts_and_estimates(capsys):
    [row] = campaign.status("ci", [SMALL])
    runs = specs_of(SMALL, "ci")
    assert (row.done, row.missing, row.seconds, row.machine) == (0, len(runs), None, "")
    found = sweep(runs[:2], progress=False, device="cpu")
    [later] = campaign.status("ci", [SMALL])
    assert (later.done, later.missing) == (2, len(runs) - 2)
    assert later.seconds > 0  # by what was just measured, on this machine
    assert later.machine == found[0].device
    assert commands.main(["campaign", "status", "--profile", "ci", "--exhibit", SMALL]) == 0
    assert f"2{len(runs) - 2:>9}" in capsys.readouterr().out
    times = [campaign.duration(seconds) for seconds in (None, 0, 61, 7500)]
    assert times == ["not known", "0 min", "2 min", "2 h 05 min"]


def test_the_status_times_no_network(monkeypatch):
    def never(*_):
        raise AssertionError("a network was trained")

    monkeypatch.setattr(train, "train_epoch", never)
    assert all(row.seconds is None for row in campaign.status("paper"))


def test_what_it_costs_is_epochs_times_operations_and_hours_by_the_peak():
    runs = specs_of(SMALL, "ci")
    found, each = cost.cost(runs), operations.epoch(runs[0])
    assert found.epochs == sum(root.epochs for root in plan(runs))
    assert found.tflop == pytest.approx(found.epochs * each / 1e12)
    assert cost.hours(3600 * 312, "A100", 0.5) == pytest.approx(2)
    assert cost.cost([*runs, *runs]) == found  # shared lives once
    assert cost.cost([]) == (0, 0)
    wide, narrow = (Run(profile="paper", model=f"allcnn-{width}") for width in (192, 96))
    assert 3.9 < operations.epoch(wide) / operations.epoch(narrow) < 4.1


def test_the_share_of_a_peak_is_that_of_lives_on_the_card_and_a_range_without(capsys, own_cache):
    assert cost.measured_share("H200") is None
    assert commands.main(["campaign", "cost", "--profile", "ci", "--exhibit", SMALL]) == 0
    assert "not known" in capsys.readouterr().out
    run = Run("blur", 0, 1, 1, "ci")
    [result] = sweep([run], progress=False, device="cpu")
    cost.timed.cache_clear()
    seconds = operations.epoch(run) * run.epochs / (0.3 * 989e12)
    keep(replace(result, device="cuda NVIDIA H200", seconds=seconds))
    assert cost.measured_share("H200") == pytest.approx(0.3)
    assert cost.measured_share("A100") is None
    assert cost.measured_share("H200", live=False) is None
    assert commands.main(["campaign", "cost", "--profile", "ci", "--exhibit", SMALL]) == 0
    assert "H200 30 %" in capsys.readouterr().out


def test_lives_of_a_size_that_nobody_timed_are_taken_at_the_operations_of_the_nearest():
    run = Run("blur", 0, 1, 1, "ci")
    [result] = sweep([run], progress=False, device="cpu")
    keep(replace(result, seconds=2.0 * run.epochs))
    cost.timed.cache_clear()
    assert cost.seconds({Run("flip", 0, 2, 1, "ci"): ()}) == (pytest.approx(6), True)
    wide = Run("blur", 0, 1, 1, "course")
    times = operations.epoch(wide) / operations.epoch(run)
    assert cost.seconds({wide: ()}) == (pytest.approx(4 * times), False)


def test_a_cluster_is_handed_on_to_what_trains(monkeypatch, capsys):
    asked = []

    def asking(specs, measure, **how):
        asked.append((how["client"], how.get("workers"), len(specs)))
        return []

    monkeypatch.setattr(campaign, "collect", asking)
    monkeypatch.setattr(ladders, "sweep", asking)
    where = ["--cluster", "tcp://10.0.0.1:8786"]
    names = ["--profile", "ci", "--exhibit", SMALL, "--budget", "100"]
    assert commands.main(["campaign", "next", *names, *where]) == 0
    assert asked == [(where[1], None, len(specs_of(SMALL, "ci")))]
    assert commands.main(["ladder", "D", *where]) == 0
    assert {client for client, *_ in asked} == {where[1]}
    assert sum(many for *_, many in asked[1:]) == len(ladders.LADDERS["D"].specs())


def test_the_commands_list_and_train(capsys):
    assert commands.main(["campaign", "list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in campaign.EXHIBITS)
    names = ["--profile", "ci", "--exhibit", SMALL, "--device", "cpu"]
    assert commands.main(["campaign", "next", "--budget", "100", *names]) == 0
    assert "all of it is done" in capsys.readouterr().out
    assert commands.main(["campaign", "next", "--budget", "0", *names]) == 2
    assert "budget" in capsys.readouterr().err
