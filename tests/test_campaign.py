"""The campaign: what is in it, that it goes on anywhere, and that nothing is lost on the way."""

import json
import math
import os
import threading
from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock
from safetensors.torch import save

from cplab import (
    campaign,
    carry,
    checkpoints,
    cli,
    kernels,
    records,
    studies,
    train,
    tree,
)
from cplab.experiment import PROFILES, CplabError, Run

pytestmark = pytest.mark.usefixtures("nothing_shipped", "one_thread")

CPU = torch.device("cpu")
SMALL = ["figure1-removal"]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """One seed, few points, and a checkpoint after each epoch."""
    monkeypatch.setattr(campaign, "SEEDS", 1)
    small = campaign.Exhibit("figure1-removal", "few", campaign.until((0, 10, 20), recovery=10))
    monkeypatch.setitem(campaign.EXHIBITS, "figure1-removal", small)
    monkeypatch.setattr(train.checkpoints, "SECONDS", -1)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A function that changes to another machine: an empty cache."""
    numbers = iter(range(100))

    def go():
        monkeypatch.setenv("CPLAB_CACHE", str(tmp_path / f"machine{next(numbers)}"))

    return go


@pytest.fixture
def do(tmp_path):
    """A function that trains the small exhibit into a directory and gives the lines that it says
    and the records that there are then."""

    def work(stop=None, out=tmp_path / "out", **fields):
        lines, fields = [], {"budget": 100, "exhibits": SMALL, "profile": "ci", **fields}
        campaign.work(out=out, stop=stop, say=lines.append, device="cpu", **fields)
        return lines, {record.run: outcome(record) for record in records.live()}

    return work


def outcome(record):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in record.curve]


def runs_of(name, profile="paper", seed=0):
    return campaign.EXHIBITS[name].of(profile, seed)


# The list -----------------------------------------------------------------------------------------


def test_one_seed_of_everything_comes_first_in_the_order_of_the_list(monkeypatch):
    monkeypatch.setattr(campaign, "SEEDS", 2)
    said = [(exhibit.name, seed) for exhibit, seed, _ in campaign.groups("ci")]
    assert said == [(name, seed) for seed in (0, 1) for name in campaign.EXHIBITS]
    assert [*campaign.EXHIBITS][:3] == ["figure1-removal", "figure1-window", "figure2-flip"]
    assert [*campaign.EXHIBITS][-1] == "thesis"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_a_campaign_of_runs_of_its_own_and_of_the_seed(profile):
    for exhibit, _, some in campaign.groups(profile):
        assert len(some) == len({*some})
        assert some or exhibit.name == "thesis"
        for one in some:
            assert getattr(one, "profile", None) == profile or one.size == profile
        assert {one.seed for one in exhibit.of(profile, 3)} <= {3}


def test_the_removal_sweep_is_the_paper_s_with_both_controls(monkeypatch):
    monkeypatch.undo()
    runs = runs_of("figure1-removal")
    blurred = [run for run in runs if run.deficit == "blur"]
    assert [run.length for run in blurred] == [20, 40, 60, 80, 100, 120, 140]
    newborn = Run(profile="paper")
    assert {run.newborn() for run in blurred} == {newborn} <= {*runs}
    assert {run.equal_training() for run in blurred} <= {*runs}
    assert sum(root.epochs for root in tree.plan([newborn, *blurred])) == 2540
    for run in runs:
        assert (run.schedule, run.recovery, run.model) == ("paper", 300, "allcnn-96")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("figure1-window", {"deficit": "blur", "onset": 60, "length": 40}),
        ("figure2-labels", {"deficit": "permute", "length": 140}),
        ("figure2-noise", {"deficit": "noise", "length": 160}),
        ("figure3-fixed", {"deficit": "blur", "length": 400, "schedule": "fixed"}),
        ("figure3-resnet", {"deficit": "blur", "length": 180, "model": "resnet18-64"}),
        ("figure3-fc", {"deficit": "blur", "length": 480, "schedule": "fixed", "dataset": "mnist",
                        "model": "fc-2500"}),
        ("figure3-depth3", {"deficit": "blur", "length": 80, "schedule": "fixed",
                            "model": "depth3-96"}),
        ("poster-adam", {"deficit": "blur", "length": 40, "optimizer": "adam"}),
        ("figure4-resnet", {"deficit": "blur", "length": 220, "model": "resnet18-64",
                            "trace": "every", "recovery": 100}),
        ("figure5", {"deficit": "flip", "length": 100, "trace": "every", "recovery": 100}),
        ("schedules", {"deficit": "flip", "length": 140, "schedule": "recovery"}),
        ("momentum", {"deficit": "blur", "length": 140, "momentum": 0}),
        ("arithmetic", {"deficit": "blur", "length": 140, "arithmetic": "float32"}),
    ],
)  # fmt: skip
def test_exhibits_hold_the_papers_runs(name, fields):
    run = Run(profile="paper", **fields)
    assert run in runs_of(name)
    assert run.equal_training() in runs_of(name)


def test_the_thesis_splits_its_pruned_architectures_once_they_are_known():
    before = runs_of("thesis", "ci")
    first = {"first": [4, 3, 3], "second": [8, 6, 5]}  # 9 is a size that is kept
    studies.keep(studies.Study(studies.canonical(before[0]), first, "cpu", 1, "2", "c"))
    assert {*runs_of("thesis", "ci")} - {*before} == {kernels.Split("ci", 3, 6, 0)}


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_shares_hold_every_run_once_and_keep_trunks_together(parts, monkeypatch):
    monkeypatch.setattr(campaign, "SEEDS", 2)
    whole = {one for *_, some in campaign.groups("ci") for one in some}
    shares = [
        {one for *_, some in campaign.groups("ci", part=part, parts=parts) for one in some}
        for part in range(parts)
    ]
    assert set.union(*shares) == whole
    assert sum(map(len, shares)) == len(whole)
    trunks = [{campaign.trunk(one) for one in share} for share in shares]
    assert sum(map(len, trunks)) == len(set.union(*trunks))
    assert min(map(len, shares)) > len(whole) / parts / 4
    alone = {one for *_, some in campaign.groups("ci", SMALL, 0, parts) for one in some}
    assert alone <= shares[0]  # whichever exhibits are asked for


# Going on -----------------------------------------------------------------------------------------


def test_what_is_broken_off_goes_on_anywhere_and_ends_the_same(do, elsewhere, stop_after, tmp_path):
    whole = do(out=tmp_path / "whole")[1]
    assert {*whole} == {*runs_of("figure1-removal", "ci")}
    trained, train_epoch = [], train.train_epoch

    def spy(run, epoch, *rest):
        loss = train_epoch(run, epoch, *rest)
        trained.append((run.origin, run.steps[: epoch + 1]))
        return loss

    train.train_epoch, found = spy, []
    try:
        for batch in (3, 6, 11):
            elsewhere()
            lines, so_far = do(stop_after(batch))
            assert "stopped" in lines
            found.append(len(so_far))
        elsewhere()
        lines, records_there = do()
    finally:
        train.train_epoch = train_epoch
    assert "all of it is done" in lines
    assert records_there == whole
    assert found == sorted(found)
    assert found[0] < found[-1] < len(whole)
    assert len(trained) == len({*trained})  # no epoch twice
    assert not [*(tmp_path / "out").glob("unfinished*")]


def test_few_checkpoints_are_kept_at_a_time(do, monkeypatch):
    most, report = [], train.checkpoints.save

    def save(*arguments):
        report(*arguments)
        most.append(len([*records.cache_dir().glob("checkpoints/*.safetensors")]))

    monkeypatch.setattr(train.checkpoints, "save", save)
    campaign.EXHIBITS["figure1-removal"] = campaign.Exhibit(
        "figure1-removal", "many", campaign.until((0, 20, 40, 60, 80), recovery=10)
    )
    do()
    assert 2 <= max(most) <= 3  # a trunk's end, and what is on the way before the next replaces it


def test_a_run_that_was_broken_off_needs_no_trunk(do, monkeypatch, tmp_path):
    long = campaign.Exhibit("figure1-removal", "", campaign.until((0, 10, 20), recovery=40))
    monkeypatch.setitem(campaign.EXHIBITS, "figure1-removal", long)
    trained, train_epoch, stop = [], train.train_epoch, threading.Event()

    def spy(run, epoch, *rest):
        if run.deficit == "blur" and epoch == run.end + 2:  # of its own
            stop.set()
        trained.append((run.deficit, epoch))
        return train_epoch(run, epoch, *rest)

    monkeypatch.setattr(train, "train_epoch", spy)
    do(stop)
    [own] = [*records.cache_dir().glob("checkpoints/*on-the-way.safetensors")]
    trunk = {*records.cache_dir().glob("checkpoints/*.safetensors")} - {own}
    assert trunk
    for path in (*trunk, *(tmp_path / "out").glob("unfinished*")):
        path.unlink()
    del trained[:]
    stop.clear()
    do()
    assert trained[:2] == [("blur", 3), ("blur", 4)]
    assert ("blur", 0) in trained  # the trunk, for the others


def test_it_stops_when_its_time_is_used_up(do, monkeypatch):
    """On a clock that the training drives: 0.2 s an epoch."""
    clocks, train_epoch = [], train.train_epoch

    class Clock(threading.Timer):
        def start(self):
            clocks.append(self)
            self.left = self.interval

        def is_alive(self):
            return self.left > 0

        def passes(self, seconds):
            self.left -= seconds
            if not self.is_alive():
                self.function()

    def slow(*arguments):
        clocks[-1].passes(0.2)
        return train_epoch(*arguments)

    monkeypatch.setattr(campaign.threading, "Timer", Clock)
    monkeypatch.setattr(train, "train_epoch", slow)
    lines, found = do(budget=6, exhibits=None)
    assert -0.3 < clocks[-1].left <= 0  # all of it would take minutes
    assert "the time is used up" in lines
    assert found  # something was done


def test_a_record_that_came_along_stays_whatever_is_asked_for_next(do, elsewhere, tmp_path):
    whole = do()[1]
    elsewhere()
    found = do(exhibits=["poster-adam"], budget=1)[1]
    assert found.items() >= whole.items()
    elsewhere()
    assert carry.merge([tmp_path / "out"])[0] >= len(whole)


def test_images_that_are_not_there_cost_their_exhibit_alone(do, monkeypatch):
    def none(dataset):
        raise CplabError("mnist is not at hand")

    mnist = campaign.Exhibit("figure3-fc", "", lambda *_: [Run(profile="ci", dataset="mnist")])
    monkeypatch.setitem(campaign.EXHIBITS, "figure3-fc", mnist)
    monkeypatch.setattr(train.data, "fetch", none)
    lines, found = do(exhibits=["figure3-fc", "figure1-removal"])
    assert "figure3-fc is left out: mnist is not at hand" in lines
    assert {*found} == {*runs_of("figure1-removal", "ci")}


def test_a_run_that_diverges_is_said_and_the_others_go_on(do, monkeypatch):
    train_epoch = train.train_epoch

    def fail(run, epoch, *rest):
        if run.deficit == "none" and epoch == 2:
            raise train.Diverged("the loss is nan")
        return train_epoch(run, epoch, *rest)

    monkeypatch.setattr(train, "train_epoch", fail)
    lines, found = do()
    assert any("the loss is nan" in line for line in lines)
    assert any(run.deficit == "blur" for run in found)


def test_studies_of_the_thesis_are_computed_and_carried(do, elsewhere, monkeypatch, tmp_path):
    spec = kernels.Split("ci", 2, 3)
    thesis = campaign.Exhibit("thesis", "", lambda *_: [spec])
    monkeypatch.setitem(campaign.EXHIBITS, "thesis", thesis)
    do(exhibits=["thesis"])
    values = studies.find(spec).values
    elsewhere()
    assert studies.find(spec) is None
    assert carry.merge([tmp_path / "out"]) == (1, 0, [])
    assert studies.find(spec).values == values


def test_a_study_that_is_broken_off_goes_on_elsewhere(do, elsewhere, monkeypatch):
    specs = [
        kernels.Pruning("ci"),
        kernels.Pruning("ci", "noise"),
        kernels.Pruning("ci", choice="random"),
    ]
    thesis = campaign.Exhibit("thesis", "", lambda *_: specs)
    monkeypatch.setitem(campaign.EXHIBITS, "thesis", thesis)
    whole = dict(kernels.compute(specs))
    epochs, epoch, stop = [], kernels.epoch, threading.Event()

    def spy(net, optimizer, images, size, seed, *rest):
        loss = epoch(net, optimizer, images, size, seed, *rest)
        epochs.append(loss)
        stop.set()
        return loss

    monkeypatch.setattr(kernels, "epoch", spy)
    begun = []
    for _ in range(50):
        elsewhere()
        stop.clear()
        lines, _ = do(stop, exhibits=["thesis"])
        [row] = campaign.status("ci", ["thesis"], "cpu")
        begun.append((row.done, row.begun, row.missing))
        if "all of it is done" in lines:
            break
    assert begun[0] == (0, 2, 1)  # two have the same training
    assert begun[-1] == (3, 0, 0)
    assert {spec: studies.find(spec).values for spec in specs} == whole
    assert len(epochs) == len({*epochs}) == len(begun)  # each epoch once


# What is carried ----------------------------------------------------------------------------------


@pytest.fixture
def broken_off(do, stop_after, tmp_path):
    """A directory with a trunk's checkpoint and one on the way."""
    do(stop_after(19))
    return tmp_path / "out"


def test_no_file_is_larger_than_the_limit(do, broken_off, elsewhere, monkeypatch, tmp_path):
    monkeypatch.setattr(carry, "LIMIT", 10_000)
    lines, found = do(stop_after_now())
    sizes = [path.stat().st_size for path in broken_off.iterdir()]
    assert len(sizes) > 2
    assert max(sizes) <= 10_000
    assert not any("left out" in line for line in lines)
    elsewhere()
    assert do(stop_after_now())[1] == found
    assert [*records.cache_dir().glob("checkpoints/*.safetensors")]


def stop_after_now():
    stop = threading.Event()
    stop.set()
    return stop


def test_what_does_not_fit_is_rounded_or_left_out_and_said(do, broken_off, monkeypatch):
    total = sum(path.stat().st_size for path in broken_off.iterdir())
    deep = total  # all of it fits
    said = []
    for share in (1.05, 0.8, 0.5, 0.2):
        monkeypatch.setattr(carry, "ROOM", int(deep * share))
        lines, _ = do(stop_after_now())
        said.append(" ".join(lines))
        assert sum(path.stat().st_size for path in broken_off.iterdir()) <= deep * share + 5000
    assert "rounded" not in said[0]
    assert "left out" not in said[0]
    assert "rounded to fit in" in said[1] + said[2]
    assert "left out, to be trained again: " in said[3]


def test_only_the_optimiser_s_state_is_rounded(tmp_path, own_cache):
    run, path = Run(profile="ci", optimizer="adam"), own_cache / "checkpoints" / "a.safetensors"
    net, optimizer = train.start(run, CPU)
    train.train_epoch(run, 0, train.data.images("practice", "ci"), net, optimizer)
    checkpoints.save(path, checkpoints.tensors_of(net, optimizer), [{"epoch": 0}])
    for rounded in (False, True):
        content, size = carry.squeeze(path, rounded)
        assert len(content) < path.stat().st_size
        kept = path.rename(tmp_path / "kept.safetensors") if not rounded else None
        archive = save(
            {path.name: torch.frombuffer(bytearray(content), dtype=torch.uint8)},
            {path.name: str(size)},
        )
        path.unlink(missing_ok=True)
        carry.unpack(archive)
        if kept:
            assert path.read_bytes() == kept.read_bytes()
            continue
        other, after = train.start(replace(run, seed=1), CPU)
        rows, state, _ = checkpoints.read([path, path])
        checkpoints.load(state, other, after)
        assert rows == [{"epoch": 0}]
        for (name, one), (_, two) in zip(net.named_parameters(), other.named_parameters(),
                                         strict=True):  # fmt: skip
            assert torch.equal(one, two), name
            for key, value in optimizer.state[one].items():
                assert after.state[two][key].dtype == torch.float32
                assert torch.allclose(value, after.state[two][key], rtol=2**-8, atol=0)
            assert after.state[two]["step"] == 4


@pytest.mark.parametrize("damage", ["cut", "gone", "changed", "record", "table"])
def test_a_damaged_file_is_refused_and_nothing_is_changed(do, broken_off, monkeypatch, damage):
    monkeypatch.setattr(carry, "LIMIT", 10_000)
    do(stop_after_now())
    part, table = sorted(broken_off.glob("unf*"))[0], broken_off / "records-0.parquet"
    if damage == "cut":
        part.write_bytes(part.read_bytes()[:-1])
    elif damage == "gone":
        part.unlink()
    elif damage == "changed":
        part.write_bytes(part.read_bytes()[:-1] + b"?")
    elif damage == "record":
        rows = pq.read_table(table).to_pylist()
        rows[0]["json"] = rows[0]["json"].replace('"epoch": 1', '"epoch": 2')
        pq.write_table(pa.Table.from_pylist(rows), table)
    else:
        table.write_bytes(table.read_bytes()[:100])
    before = {path.name: path.read_bytes() for path in broken_off.iterdir()}
    with pytest.raises(CplabError, match="damaged"):
        do()
    assert {path.name: path.read_bytes() for path in broken_off.iterdir()} == before


def test_a_call_that_was_killed_while_it_wrote_leaves_the_call_before(do, broken_off):
    (broken_off / "unfinished-0123456789ab-0of2.part").write_bytes(b"half of what was to come")
    do()
    assert not [*broken_off.glob("unfinished*")]


def test_two_processes_need_two_directories(do, broken_off):
    with FileLock(broken_off / "lock"), pytest.raises(CplabError, match="directory of its own"):
        do()


# Merging ------------------------------------------------------------------------------------------


@pytest.fixture
def cplab(capsys):
    """A function that calls the command and gives its exit code, output and error lines."""

    def call(*words):
        capsys.readouterr()  # of what went before
        code = cli.main(" ".join(map(str, words)).split())
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return call


def test_merge_takes_in_what_is_new_and_refuses_the_rest_by_line(cplab, do, elsewhere, tmp_path):
    whole, out = do()[1], tmp_path / "out"
    rows = pq.read_table(out / "records-0.parquet").to_pylist()
    old = json.loads(rows[0]["json"]) | {"protocol": 0}
    old["checksum"] = records.checksum({k: v for k, v in old.items() if k != "checksum"})
    rows[0]["json"] = json.dumps(old)
    rows[1]["json"] = rows[1]["json"][:50]
    pq.write_table(pa.Table.from_pylist(rows), out / "records-0.parquet")
    study = studies.Study("spec", {}, "cpu", 1, "2", "c").plain() | {"protocol": 0}
    (out / "z.json").write_text(json.dumps(study | {"checksum": records.checksum(study)}))
    (out / "x.json").write_text("nonsense")
    (out / "y.parquet").write_bytes(os.urandom(100))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    elsewhere()
    code, said, refused = cplab("campaign merge", out)
    assert (code, len(refused)) == (2, 5)
    assert sum("protocol 0, this is 1" in line for line in refused) == 2
    assert said == f"{len(whole) - 2} records taken in, 0 were there already, 5 refused\n"
    found = {record.run: outcome(record) for record in records.live()}
    assert len(found) == len(whole) - 2
    assert found.items() <= whole.items()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    code, said, _ = cplab("campaign merge", out / "records-0.parquet")
    assert f"0 records taken in, {len(whole) - 2} were there already, 2 refused" in said
    assert code == 2


def test_merge_takes_live_and_shipped_files_alike(cplab, do, elsewhere, nothing_shipped):
    whole = do()[1]
    folder = records.live_path("").parent
    shipped = records.ship(records.live(), "some").rename(nothing_shipped.with_name("s.parquet"))
    for files in (folder, shipped):
        elsewhere()
        code, _, refused = cplab("campaign merge", files)
        assert (code, refused) == (0, [])
        assert {record.run: outcome(record) for record in records.live()} == whole


# The command line ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("next --budget -1 --out {}/new", "budget '-1'"),
        ("next --budget x --out {}/new", "budget 'x'"),
        ("next --budget 5 --out {}/file", "file is no directory"),
        ("next --budget 5 --out {}/file/under", "no directory"),
        ("next --budget 5 --out {}/new --exhibit figure9", "unknown exhibit 'figure9'"),
        ("next --budget 5 --out {}/new --profile huge", "unknown profile 'huge'"),
        ("next --budget 5 --out {}/new --part 2 --parts 2", "0 to 1"),
        ("next --budget 5 --out {}/new --part -1", "part '-1'"),
        ("next --budget 5 --out {}/new --parts 0", "parts '0'"),
        ("next --budget 5 --out {}/new --device tpu", "device 'tpu'"),
        ("next --budget 5", "--out"),
        ("list --exhibit figure9", "unknown exhibit"),
        ("status --profile huge", "unknown profile"),
        ("status --profile ci --out {}/file", "no directory"),
        ("merge {}/none", "no records in"),
        ("merge {}", "no records in"),
        ("merge", "Missing argument"),
    ],
)
def test_bad_input_is_one_clear_line(cplab, tmp_path, words, said):
    (tmp_path / "file").write_text("")
    code, out, err = cplab("campaign", words.format(tmp_path))
    assert (code, out, len(err)) == (2, "", 1)
    assert said in err[0]
    assert not (tmp_path / "new").exists()


def test_list_shows_the_exhibits_and_the_runs_of_one(cplab):
    code, out, err = cplab("campaign list --profile ci")
    assert (code, err) == (0, [])
    assert [line.split()[0] for line in out.splitlines()[1:]] == [*campaign.EXHIBITS]
    code, out, _ = cplab("campaign list --profile ci --exhibit figure1-removal --exhibit thesis")
    assert out.splitlines()[:5] == [run.call() for run in runs_of("figure1-removal", "ci")]
    assert "Pruning protocol=1 size=ci" in out


def test_next_and_status_count_what_is_done_begun_and_missing(cplab, broken_off, elsewhere):
    elsewhere()
    words = f"campaign status --profile ci --exhibit {SMALL[0]} --exhibit thesis --device cpu"
    count = len(runs_of("figure1-removal", "ci"))

    def counts(words):
        code, out, err = cplab(words)
        assert (code, err) == (0, [])
        _, small, thesis, _ = out.splitlines()
        assert thesis.endswith("not known")
        return [int(number) for number in small.split()[1:4]]

    assert counts(words) == [0, 0, count]
    done, begun, missing = counts(f"{words} --out {broken_off}")
    assert done + begun + missing == count
    assert min(done, begun) > 0
    next_ = f"campaign next --profile ci --exhibit {SMALL[0]} --device cpu --budget 100 --out"
    code, out, _ = cplab(next_, broken_off)
    assert code == 0
    assert "all of it is done" in out
    assert counts(words) == [count, 0, 0]


def test_the_time_left_is_that_of_the_records_and_counts_what_is_shared_once(do, monkeypatch):
    do()
    record = records.find(runs_of("figure1-removal", "ci")[1])
    for one in records.live():
        if one.run != record.run:
            records.live_path(one.key).unlink()
    curve = [row | {"seconds": 60.0} for row in record.curve]
    records.keep(replace(record, curve=curve, seconds=60.0 * len(curve)))
    [row] = campaign.status("ci", SMALL, "cpu")
    missing = [run for run in runs_of("figure1-removal", "ci") if run != record.run]
    assert row.seconds == 60 * sum(root.epochs for root in tree.plan(missing))
    other = replace(record, device="cuda H200", seconds=1e6)
    records.keep(other)
    monkeypatch.setattr(train, "seconds_per_epoch", lambda run, device: 1.0)
    [row] = campaign.status("ci", SMALL, "cpu")
    assert row.seconds == sum(root.epochs for root in tree.plan(missing))
    [row] = campaign.status("ci", ["figure5"], "cpu")
    assert math.isnan(row.seconds)  # nobody has measured a trace here


def test_epochs_that_a_checkpoint_holds_take_no_time():
    one, two = Run("blur", 0, 2, 3, "ci"), Run("blur", 0, 4, 3, "ci")
    [root] = tree.plan([one, two])
    second = SimpleNamespace(of=lambda what, run: 1.0)
    for depths, seconds in (((0, 0), 10), ((1, 0), 9), ((2, 2), 8), ((4, 2), 6), ((2, 6), 4)):
        assert campaign.time_left(root, dict(zip((one, two), depths, strict=True)), second) == (
            seconds
        )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (math.nan, "not known"),
        (0, "0 min"),
        (61, "2 min"),
        (3600, "1 h 00 min"),
        (9e4, "25 h 00 min"),
    ],
)
def test_durations(seconds, said):
    assert campaign.duration(seconds) == said
