"""The gradients of a step, and their recording, on a machine without a GPU.

A CUDA graph does again, to the same memory, the operations that were launched while it was
recorded; nothing of Python runs. `replayed` does that with the operations that torch dispatches, so
that what a graph would miss or do twice is seen here.
"""

import gc
import weakref
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from cplab import data, deficits, fisher, gradients, models, train, tree
from cplab.experiment import DEFICITS, Run

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


class Tape(TorchDispatchMode):
    """The operations that are dispatched in here, with their tensors."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        given = operation(*args, **(kwargs or {}))
        self.operations.append((operation, args, kwargs or {}, given))
        return given

    def replay(self):
        with torch._C._AutoDispatchBelowAutograd():  # as they were dispatched to the tape
            for operation, args, kwargs, given in self.operations:
                tree_map(put, given, operation(*args, **kwargs))


def put(old, new):
    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
        old.copy_(new)


def replayed(work):
    """What gradients.on_cuda does, with one warming."""
    work()
    with Tape() as tape:
        given = work()
    return given, tape.replay


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Steps are recorded here too. Returns the list of the recordings."""
    made = []

    def record(work):
        given, again = replayed(work)
        made.append(again.__self__)
        return given, again

    monkeypatch.setattr(gradients, "RECORDED", ("cpu",))
    monkeypatch.setattr(gradients, "on_cuda", record)
    return made


def a_run(**fields) -> Run:
    return Run(**{"profile": "ci", "deficit": "blur", "length": 1, "recovery": 2, **fields})


def trained(run: Run):
    images = data.images(run.dataset, run.profile)
    net, optimizer = train.start(run, CPU)
    losses = [train.train_epoch(run, e, images, net, optimizer) for e in range(run.epochs)]
    return losses, net.state_dict(), optimizer


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model": "resnet18-4"},
        {"model": "fc-16"},
        {"optimizer": "adam"},
        {"schedule": "paper"},
        {"deficit": "noise"},
        {"deficit": "permute"},
        {"arithmetic": "float32"},
    ],
    ids=str,
)
def test_a_recorded_step_trains_the_same_network_bit_for_bit(fields, monkeypatch, request):
    run = a_run(**fields)
    plainly = trained(run)
    made = request.getfixturevalue("as_on_a_gpu")
    recorded = trained(run)
    assert len(made) == 1  # for all epochs
    assert recorded[0] == plainly[0]
    for name, value in plainly[1].items():
        assert torch.equal(recorded[1][name], value), name


def test_a_tree_of_recorded_runs_with_their_traces_is_the_same(request):
    """Branching, checkpoints and measurements between epochs leave recordings in order."""
    runs = [a_run(length=n, trace="every", seed=s) for n in (1, 2) for s in (0, 1)]

    def found():
        rows = {run: t.rows for run, t in tree.trajectories(runs, device="cpu", workers=1)}
        return {
            run: [{k: v for k, v in row.items() if "seconds" not in k} for row in rows[run]]
            for run in runs
        }

    plainly = found()
    made = request.getfixturevalue("as_on_a_gpu")
    assert found() == plainly
    assert len(made) == 3 * 2  # a network for each stretch of each seed's tree


def test_a_batch_of_another_size_is_not_recorded_and_leaves_the_recording_in_order(as_on_a_gpu):
    torch.manual_seed(0)
    net = models.AllCNN(4).train()
    x = torch.randn(12, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    y = torch.arange(12) % 10
    for part in (slice(8), slice(8, 12), slice(4, 12), slice(8)):
        before = {n: b.clone() for n, b in net.named_buffers()}
        found = gradients.gradients(net, "float32", x[part], y[part]).clone()
        ours = [w.grad.clone() for w in net.parameters()]
        after = {n: b.clone() for n, b in net.named_buffers()}
        net.load_state_dict(before, strict=False)
        loss = gradients.plain(net, list(net.parameters()), "float32", x[part], y[part])
        assert torch.equal(found, loss)
        for weight, gradient in zip(net.parameters(), ours, strict=True):
            assert torch.equal(weight.grad, gradient)
        for name, buffer in net.named_buffers():
            assert torch.equal(buffer, after[name]), name
    assert len(as_on_a_gpu) == 1


def test_recording_leaves_running_statistics_alone(as_on_a_gpu):
    net = models.AllCNN(4).train()
    before = {n: b.clone() for n, b in net.named_buffers()}
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8)
    gradients.Recorded(net, "native", x, y)
    for name, buffer in net.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_a_recording_ends_with_its_network(as_on_a_gpu):
    net = models.AllCNN(4).train()
    gradients.gradients(net, "native", torch.randn(8, 3, 8, 8), torch.arange(8))
    memory = weakref.ref(as_on_a_gpu.pop())
    assert memory()
    del net
    gc.collect()
    assert memory() is None


def test_where_nothing_can_be_recorded_the_step_is_taken_plainly(monkeypatch):
    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(gradients, "RECORDED", ("cpu",))
    monkeypatch.setattr(gradients, "on_cuda", refuse)
    net = models.AllCNN(4).train()
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8)
    with pytest.warns(UserWarning, match="not permitted when stream is capturing$"):
        loss = gradients.gradients(net, "native", x, y)
    assert gradients.gradients(net, "native", x, y) == loss  # and says so once
    assert all(w.grad is not None for w in net.parameters())


def test_what_could_not_be_recorded_trains_as_if_nobody_had_tried(monkeypatch):
    plainly = trained(a_run())

    def refuse(work):
        for _ in range(3):
            work()  # moves the running statistics
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(gradients, "RECORDED", ("cpu",))
    monkeypatch.setattr(gradients, "on_cuda", refuse)
    with pytest.warns(UserWarning, match="without a CUDA graph"):
        found = trained(a_run())
    assert found[0] == plainly[0]
    for name, value in plainly[1].items():
        assert torch.equal(found[1][name], value), name


@pytest.fixture
def cuda(monkeypatch):
    """torch.cuda, as far as recording speaks with it. Returns what it was asked for."""
    asked = []

    class Graph:
        replay = None

    @contextmanager
    def graph(graph, stream, capture_error_mode):
        asked.append((stream, capture_error_mode))
        yield
        raise RuntimeError("operation not permitted when stream is capturing")

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, value in {
        "Stream": lambda device: stream,
        "current_stream": lambda: stream,
        "current_device": lambda: 0,
        "stream": lambda stream: nullcontext(),
        "CUDAGraph": Graph,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(gradients, "RECORDED", ("cpu",))
    gradients.beside.cache_clear()
    yield asked
    gradients.beside.cache_clear()
    gradients._refused.clear()


def test_after_a_recording_that_broke_off_there_is_no_other(cuda):
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8)
    with pytest.warns(UserWarning, match="without a CUDA graph"):
        gradients.gradients(models.AllCNN(4).train(), "native", x, y)
    gradients.gradients(models.AllCNN(4).train(), "native", x, y)
    assert len(cuda) == 1


# Which algorithms ---------------------------------------------------------------------------------


class Asked(TorchDispatchMode):
    """What cuDNN would have been asked for by each convolution and its gradient."""

    def __init__(self):
        super().__init__()
        self.found = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if "convolution" in str(operation):
            asked = torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32
            self.found.setdefault(str(operation), set()).add(asked)
        return operation(*args, **(kwargs or {}))


BOTH = {"aten.convolution.default", "aten.convolution_backward.default"}


@pytest.mark.parametrize(("arithmetic", "tf32"), [("native", True), ("float32", False)])
def test_convolutions_and_their_gradients_are_repeatable_and_in_float32_without_tf32(
    arithmetic, tf32
):
    net, x = models.AllCNN(4).train(), torch.randn(8, 3, 8, 8)
    with Asked() as asked:
        gradients.gradients(net, arithmetic, x, torch.arange(8))
    assert asked.found == {each: {(True, tf32)} for each in BOTH}
    assert torch.backends.cudnn.allow_tf32  # as it was before


@pytest.mark.parametrize(
    "measure",
    [
        lambda net, x: fisher.trace(net, x),
        lambda net, x: fisher.diagonal(net, x),
        lambda net, x: fisher.log_determinant(net, x),
        lambda net, x: fisher.information(net, x, draws=2),
        lambda net, x: fisher.sampled_trace(net, x, 2),
        lambda net, x: fisher.sharpness(net, x, torch.arange(8)),
    ],
    ids=["trace", "diagonal", "log_determinant", "information", "sampled", "sharpness"],
)
def test_fisher_information_is_in_float32_without_tf32(measure):
    net, x = models.AllCNN(4), torch.randn(8, 3, 8, 8)
    net.train()(x)
    with Asked() as asked:
        measure(net.eval(), x)
    assert {*asked.found} & BOTH
    assert {tf32 for each in asked.found.values() for _, tf32 in each} == {False}


def test_too_little_memory_for_a_recording_is_not_hidden(monkeypatch):
    def refuse(work):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(gradients, "RECORDED", ("cpu",))
    monkeypatch.setattr(gradients, "on_cuda", refuse)
    with pytest.raises(torch.OutOfMemoryError):
        gradients.gradients(
            models.AllCNN(4).train(), "native", torch.randn(8, 3, 8, 8), torch.arange(8)
        )


def test_nothing_is_recorded_on_a_cpu(monkeypatch):
    monkeypatch.setattr(gradients, "on_cuda", lambda *_: pytest.fail("recorded"))
    trained(a_run(recovery=0))


# No waiting for the device ------------------------------------------------------------------------


@pytest.mark.parametrize("deficit", DEFICITS)
def test_an_epoch_waits_for_the_gpu_once(deficit, monkeypatch):
    """On tensors that only say where they are, so that to read one raises. The
    backward pass and the optimiser need a real device."""
    steps = []

    def pretended(net, arithmetic, x, y):
        assert x.device.type == y.device.type == "cuda"
        loss = torch.nn.functional.cross_entropy(net(x), y)
        steps.append(len(x))
        return loss.detach()

    for cached in (deficits.noise, deficits.upright):
        monkeypatch.setattr(deficits, cached.__name__, cached.__wrapped__)
    some = lambda classes, device: torch.arange(classes, device=device)  # noqa: E731
    monkeypatch.setattr(deficits, "permutation", some)
    monkeypatch.setattr(train, "gradients", pretended)
    run = Run(profile="ci", **({"deficit": deficit, "length": 1} if deficit != "none" else {}))
    with FakeTensorMode():
        with torch.device("cuda"):
            net = models.AllCNN(4)
            images = data.Images(
                train_x=torch.zeros(300, 8, 8, 3, dtype=torch.uint8),
                train_y=torch.zeros(300, dtype=torch.long),
                test_x=torch.zeros(100, 8, 8, 3, dtype=torch.uint8),
                test_y=torch.zeros(100, dtype=torch.long),
                mean=torch.zeros(3), std=torch.ones(3), name="practice", copy="none",
            )  # fmt: skip
        optimizer = SimpleNamespace(param_groups=[{}], step=lambda: None)
        with pytest.raises(DataDependentOutputException):  # the mean loss, after all steps
            train.train_epoch(run, 0, images, net, optimizer)
    assert sum(steps) == 300
