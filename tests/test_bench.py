"""The benchmark's rows on the paper's size, the Fisher trace and pruning: what they compare, say
and refuse. No speed here."""

import importlib.util
import math
import re
import warnings
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from cplab import bench, devices, fisher, gradients, models, synapses
from cplab.experiment import PROFILES, CplabError, Run

CPU = torch.device("cpu")
WAYS = {"vmap": bench.by_vmap, "jacrev": bench.by_jacrev}
WAYS |= {name: way for name, (_, _, way) in bench.LIBRARIES.items()}


@pytest.fixture(autouse=True)
def one_thread_and_round(monkeypatch):
    """These sizes are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(bench, "ROUNDS", 1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def installed(monkeypatch):
    """A function that leaves some libraries installed, or replaces ways."""

    def only(**ways):
        found = {name: ("torch", "torch", way) for name, way in ways.items()}
        absent = {name: ("no_such_module", name, None) for name in set(bench.LIBRARIES) - set(ways)}
        monkeypatch.setattr(bench, "LIBRARIES", found | absent)

    return only


@pytest.fixture
def small_paper(monkeypatch):
    """The paper's profile in small, without a weight decay that would change what is trained."""
    ci = replace(PROFILES["ci"], name="paper", train_images=80, batch=16)
    monkeypatch.setitem(PROFILES, "paper", ci)
    return ci


def test_the_paper_s_size_is_held_against_a_plain_loop_and_matrix_products(small_paper):
    engine, peak = bench.paper_size(CPU, "practice")
    assert (engine["name"], engine["unit"]) == ("paper_engine", "images/s")
    assert engine["ratio"] == pytest.approx(engine["value"] / engine["baseline"])
    assert "20 on an H100" in engine["aim"]
    assert f"{bench.FEW * 16} images" in engine["what"]  # the same for both
    work = bench.operations(Run(profile="paper", dataset="practice"))
    assert peak["value"] == pytest.approx(engine["value"] * work / 1e12)
    assert peak["ratio"] == pytest.approx(peak["value"] / peak["baseline"])
    assert "0.4 on an H100" in peak["aim"]


def test_a_gpu_has_two_rows_more_on_ways_to_take_a_step(small_paper, monkeypatch):
    taken, forward = [], []

    def on_cuda(work):
        return work(), lambda: taken.append(work())

    monkeypatch.setattr(gradients, "RECORDED", ("cpu",))
    monkeypatch.setattr(gradients, "on_cuda", on_cuda)
    monkeypatch.setattr(torch, "compile", lambda net: lambda x: forward.append(len(x)) or net(x))
    rows = {row["name"]: row for row in bench.paper_size(CPU, "practice")}
    assert list(rows) == ["paper_engine", "paper_peak", "paper_graph", "paper_compiled"]
    assert "80 images" in rows["paper_engine"]["what"]  # all that there are
    assert rows["paper_graph"]["value"] == rows["paper_engine"]["value"]
    assert rows["paper_compiled"]["baseline"] == rows["paper_engine"]["value"]
    assert len(taken) == 2 * 2 * 5  # graphs in two ways, an epoch that warms up, one that counts
    assert len(forward) == 1 + 2 * 5


@pytest.mark.parametrize("kind", [RuntimeError, FileNotFoundError])
def test_where_nothing_can_be_compiled_that_row_is_missing(small_paper, monkeypatch, kind):
    def compiled(net):
        def fail(x):
            raise kind("no compiler")

        return fail

    monkeypatch.setattr(gradients, "RECORDED", ("cpu",))
    monkeypatch.setattr(gradients, "on_cuda", lambda work: (work(), work))
    monkeypatch.setattr(torch, "compile", compiled)
    with pytest.warns(UserWarning, match="no compiler"):
        rows = bench.paper_size(CPU, "practice")
    assert [row["name"] for row in rows] == ["paper_engine", "paper_peak", "paper_graph"]


def test_the_operations_of_a_step_are_those_of_its_convolutions():
    """Three products for each weight and place, but for the first layer, whose input needs none."""
    run, total, size = Run(profile="paper"), 0, 32
    for number, layer in enumerate(m for m in models.AllCNN(96) if isinstance(m, torch.nn.Conv2d)):
        size //= layer.stride[0]
        total += (2 + (number > 0)) * 2 * layer.weight.numel() * size**2
    assert bench.operations(run) == total


@pytest.mark.parametrize("name", WAYS)
def test_other_ways_give_the_same_trace_in_batches(name):
    net, x = bench.network(CPU, "practice", 7)
    found = fisher.trace(net, x)
    ours = {**found.layers, "total": found.total}
    before = [t.clone() for t in (*net.parameters(), *net.buffers())]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = WAYS[name](bench.out_of_place(net), x, 4)  # in two parts, not of one size
    assert set(values) in ({"total"}, set(found.layers))
    assert bench.difference(name, ours, values) <= bench.AGREE
    after = (*net.parameters(), *net.buffers())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_the_network_is_the_course_s_in_eval_mode_with_statistics():
    net, x = bench.network(CPU, "practice", 5)
    assert x.shape == (5, 3, 16, 16)
    assert not net.training
    assert net[0].weight.shape == (16, 3, 3, 3)
    assert net[1].running_mean.abs().max() > 0


def test_the_rows_say_what_was_measured_and_that_the_values_agree(capfd):
    vmap = bench.fisher_vs_vmap(CPU, "practice", 4)
    library = bench.fisher_vs_library(CPU, "practice", 4)
    for row, aim in ((vmap, "ratio >= 5"), (library, "ratio >= 1")):
        assert list(row) == ["name", "unit", "value", "baseline", "ratio", "aim", "what"]
        assert (row["unit"], row["aim"]) == ("s", aim)
        assert min(row["value"], row["baseline"], row["ratio"]) > 0
        assert "4 images" in row["what"]
        assert "initial weights" in row["what"]
        assert float(re.search(r"differ by (\S+) at most", row["what"])[1]) <= bench.AGREE
    assert "vmap of grad" in vmap["what"]
    assert "jacrev" in vmap["what"]
    for name, (module, _, _) in bench.LIBRARIES.items():
        there = importlib.util.find_spec(module) is not None
        words = rf"{name} [\d.]+ \([\d.e-]+ s" if there else f"{name} is not installed"
        assert re.search(words, library["what"])
    assert capfd.readouterr() == ("", "")  # nor did a library say anything


def test_the_fastest_library_is_the_baseline_and_the_others_are_named(installed, monkeypatch):
    speed = {"BackPACK": 7, "curvlinops": 3, "nngeometry": 5}
    clock = iter(s for name in speed for _ in range(1 + bench.ROUNDS) for s in (1, speed[name]))
    monkeypatch.setattr(bench, "seconds", lambda work: work() or next(clock))
    installed(**dict.fromkeys(speed, lambda net, x: {"total": fisher.trace(net, x).total}))
    row = bench.fisher_vs_library(CPU, "practice", 2)
    assert (row["value"], row["baseline"], row["ratio"]) == (1, 3, 3)
    assert re.search(
        r"/ curvlinops \S+ \(3 s\), the fastest; nngeometry \S+ \(5 s\); BackPACK \S+ \(7 s\);",
        row["what"],
    )
    assert next(clock, None) is None


def test_a_slow_way_has_one_round_and_the_row_says_so(monkeypatch):
    calls = []
    monkeypatch.setattr(bench, "ROUNDS", 3)

    def way(net, x):
        calls.append(1)
        return {"total": fisher.trace(net, x).total}

    net, x = bench.network(CPU, "practice", 2)
    assert len(bench.against("quick", way, net, x).pairs) == bench.ROUNDS
    assert len(calls) == 1 + bench.ROUNDS
    monkeypatch.setattr(bench, "SLOW", 0)
    slow = bench.against("slow", way, net, x)
    assert len(slow.pairs) == 1
    assert re.fullmatch(r"slow \(\S+ s, one round\)", str(slow))
    assert len(calls) == 2 + bench.ROUNDS


def test_libraries_that_are_missing_or_fail_are_named(installed):
    def fails(net, x):
        raise TypeError

    warned = []

    def warns(net, x):
        warnings.warn("of theirs", stacklevel=1)
        warned.append(1)
        return {"total": fisher.trace(net, x).total}

    installed(BackPACK=warns, nngeometry=fails)
    row = bench.fisher_vs_library(CPU, "practice", 2)
    assert warned
    assert row["ratio"] > 0
    assert "curvlinops is not installed" in row["what"]
    assert "nngeometry fails with TypeError" in row["what"]

    installed()
    row = bench.fisher_vs_library(CPU, "practice", 2)
    assert row["value"] > 0
    assert (row["baseline"], row["ratio"]) == (None, None)
    assert all(f"{name} is not installed" in row["what"] for name in bench.LIBRARIES)
    about = {"device": "cpu", "cores": 2, "dataset": "practice", "note": "", "results": [row]}
    assert re.search(r"fisher_vs_library\s+\S+\s+- s\s+-  ratio >= 1\n", bench.table(about))


@pytest.mark.parametrize("factor", [1 + 3e-4, 1 - 3e-4, 2, math.nan, math.inf, 0])
def test_values_that_differ_are_no_speed(factor, installed, monkeypatch):
    exact = fisher.trace

    def wrong(net, x):
        layers = exact(net, x).layers
        return layers | {"24": factor * layers["24"]}

    installed(BackPACK=wrong)
    with pytest.raises(CplabError, match=r"Fisher traces differ.*'24', BackPACK"):
        bench.fisher_vs_library(CPU, "practice", 2)
    monkeypatch.setattr(bench, "by_vmap", wrong)
    with pytest.raises(CplabError, match=r"Fisher traces differ.*'24', vmap"):
        bench.fisher_vs_vmap(CPU, "practice", 2)


def test_nothing_equals_nothing():
    assert bench.difference("x", {"a": 0.0, "b": 2.0}, {"a": 0.0, "b": 2.0}) == 0
    assert bench.difference("x", {"b": 2.0}, {"b": 2.0001}) == pytest.approx(5e-5, rel=1e-3)


def test_the_row_on_pruning_says_what_was_measured(small_mnist):
    row = bench.pruning_batched(CPU, count=3, steps=2)
    assert (row["name"], row["unit"], row["aim"]) == ("pruning_batched", "ms", "ratio >= 3")
    assert min(row["value"], row["baseline"], row["ratio"]) > 0
    assert "on mnist, 3 side by side" in row["what"]


def test_both_sides_of_the_row_on_pruning_train_the_same(small_mnist, monkeypatch):
    """From the same weights, in float32."""
    monkeypatch.setattr(devices, "has_bf16", lambda device: False)
    built, linear = [], torch.nn.Linear

    def born(a, b, device):
        layer = linear(a, b)
        first = synapses.nets([alive], 0, "sgd", CPU).weights[len(built)][0]
        layer.weight.data, layer.bias.data = first[:, :-1].clone(), first[:, -1].clone()
        built.append(layer)
        return layer

    alive = [np.random.default_rng(0).random((b, a)) < 0.1 for a, b in synapses.SHAPES]
    monkeypatch.setattr(bench.nn, "Linear", born)
    split = synapses.pictures("mnist")["train"]
    order = list(islice(synapses.batches(300, 0, CPU), 5))
    bench.plain_retraining(alive, synapses.Split(split.x / 255, split.y), order)
    nets = synapses.nets([alive], 0, "sgd", CPU)
    for index in order:
        synapses.step(nets, split.x[index].float(), split.y[index], 0.5)
    for ours, theirs in zip(nets.weights, built, strict=True):
        torch.testing.assert_close(ours[0, :, :-1], theirs.weight.data, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(ours[0, :, -1], theirs.bias.data, atol=1e-5, rtol=1e-4)
