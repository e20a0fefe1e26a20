"""Both passes as a CUDA graph: on a GPU where there is one, and on any machine with a graph that
computes all of it again and, as a real one, nothing while it is captured."""

from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from conftest import a_run, train_stretch
from torch import nn

from cplab import devices, models
from cplab.engine import checkpoints, passes
from cplab.engine import train as engine
from cplab.engine.passes import Passes
from cplab.engine.sweep import Context, train_all
from cplab.engine.train import begin, train, train_epoch
from cplab.errors import Cancelled
from cplab.labs.lab05b_pruning import prune_weights
from cplab.results.result import without_times
from cplab.runs import Run, Step

CUDA = torch.device("cuda")

pytestmark = pytest.mark.usefixtures("small_mnist", "nothing_shipped")


@pytest.fixture
def stand_in(monkeypatch):
    """A GPU's graphs on this CPU. Gives how many were captured and replayed."""
    counts, last = SimpleNamespace(captured=0, replayed=0, wrong=False), []
    once, item, mode = Passes.step_by_step, torch.Tensor.item, ["default"]

    class Graph:
        def replay(self):
            counts.replayed += 1
            of, x, y, losses, gradients = self.parts
            others = [weight.grad for weight in of.weights]
            losses.copy_(once(of, x, y) + counts.wrong)
            for weight, gradient, other in zip(of.weights, gradients, others, strict=True):
                gradient.copy_(weight.grad)
                weight.grad = other

    @contextmanager
    def capture(graph, **how):
        of = last[0]
        before = [buffer.clone() for buffer in of.buffers]
        yield
        counts.captured += 1
        _, _, _, losses = last
        graph.parts = (*last, [weight.grad for weight in of.weights])
        of.put_back(before)
        for tensor in (losses, *graph.parts[-1]):
            tensor.fill_(7)

    def step_by_step(of, x, y, streams=()):
        last[:] = of, x, y, once(of, x, y, streams)
        return last[-1]

    def read(tensor):
        if mode[0] == "error":
            raise RuntimeError("called a synchronizing CUDA operation")
        return item(tensor)

    monkeypatch.setattr(passes, "GRAPHS", "cpu")
    monkeypatch.setattr(engine, "GRAPHS", "cpu")
    monkeypatch.setattr(Passes, "step_by_step", step_by_step)
    monkeypatch.setattr(torch.Tensor, "item", read)
    stream = SimpleNamespace(wait_stream=lambda other: None)
    fakes = {"CUDAGraph": Graph, "graph": capture, "Stream": lambda: stream}
    fakes |= {"stream": nullcontext, "current_stream": lambda: stream, "synchronize": lambda: None}
    fakes["set_sync_debug_mode"] = lambda name: mode.__setitem__(0, name)
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return counts


class Asking(nn.Module):
    """A network that asks the device for a value."""

    def __init__(self, size):
        super().__init__()
        self.last = nn.Linear(size * size, 10)

    def forward(self, x):
        return self.last(x.flatten(1)) * (1 + (x.sum().item() > 1e9))


class Averaging(Asking):
    """A network that puts another tensor in the place of a buffer."""

    def __init__(self, size):
        super().__init__(size)
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean()
        return self.last(x.flatten(1) - self.mean)


# how a run is made, and how many graphs it needs, one for each size of a batch
TRAINED = {
    "blur, a smaller last batch": (partial(a_run, "blur", 0, 2), 2),
    "all batches alike": (partial(a_run, "noise", 1, 1, batch=100, model="fc-20"), 1),
    "treated": (partial(a_run, "blur", 1, 1, treatments="renorm@2 decay-0@1+1"), 4),
    "norms held, Adam": (partial(a_run, onset=1, treatments="held@0", optimizer="adam"), 2),
    "two eyes": (partial(a_run, "blank:left", 1, 1, model="eyes-4"), 2),
    "no buffers": (partial(a_run, "flip", 1, 1, model="mlp2-20", batch=100), 1),
    "it asks": (partial(a_run, "blur", 0, 1, model="asking-1"), 0),
    "it replaces a buffer": (partial(a_run, "blur", 0, 1, model="averaging-1"), 0),
    "a stack": (partial(Run, "mosaic", 1, 1, 2, profile="tiny", momentum=0.9), 2),
}


def bits(*runs, device="cpu"):
    """The rows of runs that are trained together, and each one's weights, buffers and optimiser's
    memory in the end."""
    stretches = train(runs, len(runs[0].timeline), device=device)
    parts = [checkpoints.read_parts(stretch.content) for stretch in stretches]
    memories = [memory for part in parts for memory in part["optimizer"]["state"].values()]
    kept = [value for memory in memories for value in memory.values()]
    tensors = [value for part in parts for value in part["net"].values()]
    return [without_times(stretch.rows) for stretch in stretches], [*tensors, *kept]


def compare(runs, monkeypatch, device="cpu"):
    """Assert that runs give the same bits together as each without graphs."""
    rows, tensors = bits(*runs, device=device)
    for module in (passes, engine):
        monkeypatch.setattr(module, "GRAPHS", "none")
    expected, wanted = bits(*runs, device=device)
    assert rows == expected
    assert all(map(torch.equal, tensors, wanted))


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=GPU)])
def card(request, monkeypatch):
    """The device of a test: a GPU, or this CPU with the graphs of one."""
    for name, kind in {"asking": Asking, "averaging": Averaging}.items():
        build = partial(lambda kind, width, channels, size, classes: kind(size), kind)
        monkeypatch.setitem(models.MODELS, name, models.Model(name, build, ""))
    if request.param == "cpu":
        request.getfixturevalue("stand_in")
    return request.param


@pytest.mark.parametrize("name", TRAINED)
def test_a_replayed_graph_gives_the_bits_of_both_passes(name, card, monkeypatch):
    make, graphs = TRAINED[name]
    kept, capture = [], Passes.capture

    def count(of, x, y):
        kept.append(bool(found := capture(of, x, y)))
        return found

    monkeypatch.setattr(Passes, "capture", count)
    compare([make()], monkeypatch, card)
    assert sum(kept) == graphs


@pytest.mark.parametrize("name", [name for name in TRAINED if name != "a stack"])
def test_seeds_side_by_side_have_the_bits_of_each_alone(name, card, monkeypatch):
    compare([TRAINED[name][0]().with_seed(seed) for seed in (0, 3, 7)], monkeypatch, card)


def test_a_graph_that_fails_its_trial_is_not_kept(stand_in):
    make, graphs = TRAINED["all batches alike"]
    run = make()
    stand_in.wrong = True
    rows = train_stretch(run, 3).rows
    assert (stand_in.captured, stand_in.replayed) == (graphs, graphs)
    passes.GRAPHS = "none"  # the fixture puts it back
    assert without_times(rows) == without_times(train_stretch(run, 3).rows)


def elsewhere(net):
    for weight in net.parameters():
        weight.data = 0.9 * weight.data


def freeze(net):
    next(weight for weight in net.parameters() if weight.requires_grad).requires_grad_(False)


@pytest.mark.parametrize("change", [elsewhere, freeze])
def test_weights_that_are_changed_between_two_epochs_have_a_graph_of_their_own(stand_in, change):
    run = TRAINED["all batches alike"][0]()
    with devices.torch_defaults(1):
        life, other = begin(run, torch.device("cpu"), 1), begin(run, torch.device("cpu"), 1)
        for one in (life, other):
            passes.GRAPHS = "cpu" if one is life else "none"
            for step in run.timeline:
                one.state.rows += train_epoch([one], step)
                change(one.state.net)
    assert stand_in.captured == len(run.timeline)
    assert without_times(life.state.rows) == without_times(other.state.rows)


@pytest.mark.usefixtures("each_part_saved")
def test_a_run_that_is_stopped_in_the_middle_goes_on_with_the_same_bits(stand_in, stop_after):
    run = a_run("blur", 1, 2)
    expected = run.values(train_stretch(run, 5).rows)
    with pytest.raises(Cancelled):
        list(train_all([run], Context("cpu", workers=1, stop=stop_after(11))))
    [(_, found)] = train_all([run], Context("cpu", workers=1))
    assert without_times(found.values) == without_times(expected)


def test_pruned_weights_stay_pruned_on_a_gpu(stand_in, monkeypatch):
    how = {"density": 0.3, "training": 1, "retraining": 2, "device": "cpu"}
    values = prune_weights.compute("ci", "magnitude", **how)
    assert stand_in.captured
    monkeypatch.setattr(passes, "GRAPHS", "none")
    assert values == prune_weights.compute("ci", "magnitude", **how)


def test_graphs_and_kernels_are_those_of_the_card_that_is_named(monkeypatch):
    named = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", named.append)
    assert devices.pick("cuda:1") == torch.device("cuda:1") == named[0]
    assert devices.pick("cuda") == CUDA
    assert len(named) == 1


@pytest.mark.parametrize(("native", "last"), [(True, True), (False, False)])
def test_images_and_weights_lie_as_the_card_takes_them_quickest(monkeypatch, native, last):
    monkeypatch.setattr(devices, "has_bf16", lambda device: native)
    wanted = torch.channels_last if last else torch.contiguous_format
    assert devices.memory_format(CUDA) == wanted
    assert devices.memory_format(torch.device("cpu")) == torch.channels_last
    monkeypatch.setattr(devices, "memory_format", lambda device: wanted)
    run = Run(profile="ci", onset=1)
    images, net = run.task.images(torch.device("cpu")), run.task.birth(torch.device("cpu")).net
    step = run.timeline[0]
    assert isinstance(step, Step)
    for x in (images.normal(images.train_x), next(run.task.batches(0, step, images))[1]):
        assert x.is_contiguous(memory_format=wanted)
    assert net[3].weight.is_contiguous(memory_format=wanted)
