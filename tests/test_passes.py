"""Both passes as a CUDA graph: on a GPU, and with a stand-in, which computes all of it again."""

from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from conftest import a_run, train_stretch
from torch import nn

from cplab import models
from cplab.base import devices
from cplab.engine import checkpoints
from cplab.engine.gpu import cards
from cplab.engine.gpu.graphs import Graphs
from cplab.engine.train import train
from cplab.results.result import without_times
from cplab.runs import Run

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


@pytest.fixture
def stand_in(monkeypatch):
    """A GPU's graphs on this CPU. Gives how often they were replayed; if `wrong`, wrongly."""
    counts = SimpleNamespace(replayed=0, wrong=False)
    last = []
    begin = Graphs.__init__
    item = torch.Tensor.item
    mode = ["default"]

    class Graph:
        def replay(self):
            counts.replayed += 1
            graphs, x, y, losses, gradients = self.parts
            others = [weight.grad for weight in graphs.weights]
            losses.copy_(graphs.once(x, y) + counts.wrong)
            for weight, gradient, other in zip(graphs.weights, gradients, others, strict=True):
                gradient.copy_(weight.grad)
                weight.grad = other

    @contextmanager
    def capture(graph, **options):
        graphs = last[0]
        before = [buffer.clone() for buffer in graphs.buffers]
        yield
        gradients = [weight.grad for weight in graphs.weights]
        graph.parts = (*last, gradients)
        graphs.put_back(before)
        for tensor in (last[-1], *gradients):
            tensor.fill_(7)

    def begin_to_note(graphs, networks, compute):
        def noted(x, y, streams=()):
            last[:] = graphs, x, y, compute(x, y, streams=streams)
            return last[-1]

        begin(graphs, networks, noted)
        graphs.once = compute

    def read(tensor):
        if mode[0] == "error":
            raise RuntimeError("called a synchronizing CUDA operation")
        return item(tensor)

    monkeypatch.setattr(cards, "KIND", "cpu")
    monkeypatch.setattr(Graphs, "__init__", begin_to_note)
    monkeypatch.setattr(torch.Tensor, "item", read)
    stream = SimpleNamespace(wait_stream=lambda other: None)
    fakes = {"CUDAGraph": Graph, "graph": capture, "Stream": lambda: stream}
    fakes |= {"stream": nullcontext, "current_stream": lambda: stream, "synchronize": lambda: None}
    fakes["set_sync_debug_mode"] = lambda name: mode.__setitem__(0, name)
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return counts


def ask(layer, x, y):
    """After a layer, ask the device for a value."""
    return y * (1 + (y.sum().item() > 1e9))


def average(layer, x, y):
    """After a layer, put another tensor in the place of a buffer."""
    layer.mean = 0.9 * layer.mean + 0.1 * y.detach().mean()
    return y - layer.mean


STACKED: dict = {"profile": "tiny", "dataset": "mnist", "images": 100, "momentum": 0.9}
# How a run is made, and how many graphs it needs, one for each size of a batch
TRAINED = {
    "blur, a smaller last batch": (partial(a_run, "blur", 0, 2), 2),
    "all batches alike": (partial(a_run, "noise", 1, 1, batch=100, model="fc-20", momentum=0), 1),
    "treated": (partial(a_run, "blur", 1, 1, treatments="renorm@2 decay-0@1+1"), 4),
    "norms held, Adam": (partial(a_run, onset=1, treatments="held@0", optimizer="adam"), 2),
    "two eyes": (partial(a_run, "blank:left", 1, 1, model="eyes-4"), 2),
    "no buffers": (partial(a_run, "flip", 1, 1, model="mlp2-20", batch=100), 1),
    "it asks": (partial(a_run, "blur", 0, 1, model="asking-1"), 0),
    "it replaces a buffer": (partial(a_run, "blur", 0, 1, model="averaging-1"), 0),
    "a stack": (partial(Run, "mosaic", 1, 1, 2, **STACKED), 2),
}
SIDE_BY_SIDE = "treated", "norms held, Adam", "it asks"  # of two seeds


def bits(*runs, device):
    """The rows of runs that are trained together, and each one's weights, buffers and momenta."""
    stretches = train(runs, len(runs[0].timeline), device=device)
    tensors = []
    for run, stretch in zip(runs, stretches, strict=True):
        state = checkpoints.loads(
            stretch.content, run.task, torch.device(device), stretch.provenance
        )
        tensors += state.net.state_dict().values()
        for memory in state.optimizer.state.values():
            tensors += memory.values()
    return [without_times(stretch.rows) for stretch in stretches], tensors


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=GPU)])
def card(request, monkeypatch):
    """The device of a test: a GPU, or this CPU with the graphs of one."""
    for name, hook in {"asking": ask, "averaging": average}.items():

        def build(width, channels, size, classes, hook=hook):
            flat = nn.Flatten()
            flat.register_buffer("mean", torch.zeros(()))
            flat.register_forward_hook(hook)
            return nn.Sequential(flat, nn.Linear(size * size, classes))

        monkeypatch.setitem(models.MODELS, name, models.Model(name, build, ""))
    if request.param == "cpu":
        request.getfixturevalue("stand_in")
    return request.param


@pytest.mark.parametrize("name", TRAINED)
def test_replayed_graphs_give_the_bits_of_both_passes_of_each_seed(name, card, monkeypatch):
    seeds = (0, 3) if name in SIDE_BY_SIDE else (0,)
    make, graphs = TRAINED[name]
    kept = []
    capture = Graphs.capture

    def count(graphs, x, y):
        graph = capture(graphs, x, y)
        kept.append(bool(graph))
        return graph

    monkeypatch.setattr(Graphs, "capture", count)
    rows, tensors = bits(*(make().with_seed(seed) for seed in seeds), device=card)
    assert sum(kept) == graphs
    if card == "cpu":
        monkeypatch.setattr(cards, "KIND", "none")  # the loop of a CPU
    monkeypatch.setattr(Graphs, "capture", lambda *given: None)
    rows_alone = []
    tensors_alone = []
    for seed in seeds:
        its_rows, its_tensors = bits(make().with_seed(seed), device=card)
        rows_alone += its_rows
        tensors_alone += its_tensors
    assert rows == rows_alone
    assert all(map(torch.equal, tensors, tensors_alone))


def test_a_graph_that_fails_its_trial_is_not_kept(stand_in):
    make, graphs = TRAINED["all batches alike"]
    run = make()
    stand_in.wrong = True
    rows = train_stretch(run, 3).rows
    assert stand_in.replayed == graphs
    cards.KIND = "none"  # the fixture puts it back
    assert without_times(rows) == without_times(train_stretch(run, 3).rows)


@pytest.fixture
def cards_chosen(monkeypatch):
    """The cards that torch is told to use, on a machine that has some."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


def test_a_named_card_is_the_one_that_computes(cards_chosen):
    assert devices.pick("cuda:1") == torch.device("cuda:1")
    assert cards_chosen == [torch.device("cuda:1")]


def test_where_no_card_is_named_the_one_in_use_stays(cards_chosen):
    assert devices.pick("cuda") == torch.device("cuda")
    assert cards_chosen == []
