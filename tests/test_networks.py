"""Small networks in a browser: they train as torch's do."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import plain_page
from torch.nn import functional as F

import cplab
from cplab import deficits
from cplab.deficits import find_deficit
from cplab.lab.nursery import nursery
from cplab.lab.screen.offers import NURSERY

ROOT = Path(__file__).parents[1]
COUNTS = {"train": 40, "test": 20}  # random digits of a page
SIZES = [144, 64, 64, 16]  # pixels, units of two layers, and scores, of which ten are used
# A plan of the page, so short that it takes no time.
FIXED = {"width": 64, "every": 5, "names": nursery.NAMES}
PLAN = nursery.KNOBS | FIXED | {"recovery": 6, "digits": 30, "seed": 1}
EARLY = {"kind": "mosaic", "onset": 0, "length": 7}
LATE = {"kind": "mosaic", "onset": 8, "length": 7}
TWIN = -1  # the place of the twin among the windows


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a page with the program of the networks and the functions of networks.js."""
    path = tmp_path_factory.mktemp("program") / "page.html"
    # what the screen's script defines is in a block, and would stay there
    program = nursery.SCRIPT.partition("{")[2].rpartition("customElements.define")[0]
    functions = Path(__file__).with_name("networks.js").read_text("utf-8")
    scripts = f"<script>{program}</script><script>{functions}</script>"
    path.write_text(f'<!DOCTYPE html><head><meta charset="utf-8"></head>{scripts}', "utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def tab(chromium, address):
    """A page that can train."""
    with plain_page(chromium) as page:
        page.goto(address)
        ask(page, "startEngine")
        yield page


def ask(page, function, *given):
    """What a function of the page gives for lists, numbers, texts, arrays and tensors."""
    plain = []
    for value in given:
        is_array = isinstance(value, torch.Tensor | np.ndarray)
        plain.append(value.flatten().tolist() if is_array else value)
    # as texts: of long lists Playwright takes each number by itself
    call = f"async text => JSON.stringify(await {function}(...JSON.parse(text)) ?? null)"
    return json.loads(page.evaluate(call, json.dumps(plain)))


def random_digits(count):
    """Random images with one channel, (count, 1, 12, 12)."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 1, 12, 12, generator=generator)


def newborn(model, seed):
    """A network of the package for these images."""
    torch.manual_seed(seed)
    return cplab.models.build(model, channels=1, size=12)


def page_layout(net):
    """A network's parameters as the page has them: in one row, the ten scores filled up to 16."""
    parts = []
    for layer in net[1::2]:
        more = -len(layer.bias) % 16
        parts += [F.pad(layer.weight.T, (0, more)).flatten(), F.pad(layer.bias, (0, more))]
    return torch.cat(parts).detach().numpy()


# Networks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_an_epoch_changes_a_network_as_torch_does(tab, hidden):
    x = random_digits(100)
    y = torch.arange(100) % 10
    orders = []
    for epoch in range(4):
        orders.append(torch.randperm(100, generator=torch.Generator().manual_seed(epoch)))
    net = newborn(f"mlp{hidden}", seed=2)
    sizes = [144, *[64] * hidden, 16]

    rows = [order.tolist() for order in orders]
    trained = ask(tab, "trained", page_layout(net), sizes, x, y, rows, 0.1)

    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for order in orders:
        for batch in order.split(32):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    assert np.allclose(trained, page_layout(net), atol=2e-6)


def test_one_step_follows_the_gradient_of_torch(tab):
    """Also of a batch that is not full, and where scores are far apart."""
    x = random_digits(20)
    y = torch.arange(20) % 10
    net = newborn("mlp2_he", seed=3)
    for layer in net[1::2]:
        layer.weight.data *= 3
    before = page_layout(net)
    after = ask(tab, "trained", before, SIZES, x, y, [[*range(20)]], 1)
    F.cross_entropy(net(x), y).backward()
    for layer in net[1::2]:
        layer.weight.data = layer.weight.grad
        layer.bias.data = layer.bias.grad
    gradient = page_layout(net)
    assert np.abs(gradient).max() > 0.1
    assert np.allclose(before - np.array(after), gradient, atol=1e-6, rtol=1e-4)


def test_scores_are_those_of_torch(tab):
    x = random_digits(70)
    net = newborn("mlp2_he", seed=4)
    scores = np.reshape(ask(tab, "scores", page_layout(net), SIZES, x), (70, 16))
    assert np.allclose(scores[:, :10], net(x).detach(), atol=1e-5)
    assert not scores[:, 10:].any()  # those of no class


def test_the_chances_of_classes_are_those_of_the_softmax(tab):
    x = random_digits(1)
    net = newborn("mlp3_he", seed=5)
    chances = ask(tab, "chances", page_layout(net), {"layers": 3, "width": 64}, x)
    assert chances == pytest.approx(net(x).softmax(1)[0].tolist(), rel=1e-5)


# Deficits -----------------------------------------------------------------------------------------

CORNERS = "80100f00000000000000000000000000000f"  # a mask of corners, and of where a row ends


OTHERS = [("mosaic", 5), ("cover", CORNERS)]  # in a mosaic of 5 the last squares are smaller


def offered():
    """Each deficit that the screen offers, with each strength of its knob. Noise is drawn, and not
    the same in a page as in torch: its tests are below."""
    for name, offer in NURSERY.items():
        for strength in offer.knob.options if offer.knob else [None]:
            if name != "noise":
                yield name, strength


@pytest.mark.parametrize(("name", "strength"), [*offered(), *OTHERS])
def test_a_deficit_is_that_of_the_package(tab, name, strength):
    x = random_digits(3)
    seen = ask(tab, "imagesUnder", name, strength, x)
    full_name = f"{name}-{strength}" if strength else name
    expected, _ = deficits.apply_deficit(x, torch.arange(3), full_name)
    assert np.allclose(seen, expected.flatten(), atol=1e-6)


def test_the_usual_strength_is_that_of_a_name_without_one():
    for name, offer in NURSERY.items():
        if offer.knob:
            assert find_deficit(f"{name}-{offer.knob.usual}").name == name


def noise(tab, seed):
    """What a hundred images are under noise."""
    return np.array(ask(tab, "imagesUnder", "noise", None, [0] * 100 * 144, seed))


def test_noise_is_standard_normal_and_the_same_for_a_seed_alone(tab):
    images = noise(tab, 1)
    assert (images.mean(), images.std()) == pytest.approx((0, 1), abs=0.03)
    assert np.array_equal(noise(tab, 1), images)
    assert not np.array_equal(noise(tab, 2), images)


def test_wrong_names_are_those_of_the_package():
    assert list(nursery.NAMES) == deficits.permutation(10).tolist()


# Lives --------------------------------------------------------------------------------------------


def grow(tab, *changes, own=None):
    """The tests of networks that grow up beside one another, each after PLAN with its changes."""
    plans = [PLAN | {"windows": [EARLY]} | changed for changed in changes]
    return ask(tab, "testsOf", plans, COUNTS, own)


def of_network(tests, window, seed=1):
    """The tests of one network, without the place of its window."""
    found = [test for test in tests if (test["seed"], test["window"]) == (seed, window)]
    return [{name: test[name] for name in test if name != "window"} for test in found]


def ages(tests):
    return [test["age"] for test in tests]


def test_a_network_is_the_same_alone_as_beside_others(tab):
    alone = grow(tab, {"seed": 3})
    beside = grow(tab, {"seed": 2, "layers": 3}, {"seed": 3}, {"seed": 4, "layers": 1})
    for window in (0, TWIN):
        assert of_network(beside, window, seed=3) == of_network(alone, window, seed=3)


def test_a_network_is_the_same_alone_as_beside_another_window(tab):
    """Though what both have in common is trained once."""
    both = grow(tab, {"windows": [EARLY, LATE]})
    assert of_network(both, 0) == of_network(grow(tab, {"windows": [EARLY]}), 0)
    assert of_network(both, 1) == of_network(grow(tab, {"windows": [LATE]}), 0)


def test_a_twin_has_the_clear_epochs_of_each_window(tab):
    """It is the same network for both, at two ages."""
    tests = grow(tab, {"windows": [EARLY, LATE]})
    assert ages(test for test in of_network(tests, TWIN) if test["answers"]) == [6, 14]


def test_a_deficit_that_covers_nothing_is_as_many_clear_epochs(tab):
    nothing = {"kind": "cover", "onset": 8, "length": 7}
    tests = grow(tab, {"windows": [nothing], "strengths": {"cover": "0" * 36}})
    [end] = [test["network"] for test in of_network(tests, 0) if test["age"] == 21]
    longer = grow(tab, {"windows": [nothing], "strengths": {"cover": "0" * 36}, "recovery": 13})
    [twin] = [test["network"] for test in of_network(longer, TWIN) if test["age"] == 21]
    assert end == twin


def test_another_seed_is_another_network(tab):
    first, second = grow(tab, {"seed": 3})[-1], grow(tab, {"seed": 5})[-1]
    assert first["network"] != second["network"]


def test_a_network_is_tested_soon_every_five_epochs_at_turns_and_in_its_last_five(tab):
    tests = grow(tab, {"windows": [LATE]})
    assert ages(of_network(tests, 0)) == [10, 15, 17, 18, 19, 20, 21]
    assert ages(of_network(tests, TWIN)) == [0, 2, 5, 8, 10, 11, 12, 13, 14]


def test_the_answers_are_right_as_often_as_the_test_says(tab):
    *_, last = of_network(grow(tab, {}), 0)
    right = np.equal(last["answers"], np.arange(COUNTS["test"]) % 10)
    assert 100 * right.mean() == pytest.approx(last["right"])


# What is known of a life --------------------------------------------------------------------------


def clear_life(tab, age):
    """The last test of a network that has had so many clear epochs, with its weights."""
    return of_network(grow(tab, {"recovery": age}), TWIN)[-1]


def from_layout(network):
    """A network of torch from one as the page has it."""
    net = newborn("mlp2", seed=0)
    start = 0
    for layer in net[1::2]:
        inputs, outputs = layer.in_features, -(-layer.out_features // 16) * 16
        weights = torch.tensor(network[start : start + inputs * outputs])
        start += inputs * outputs
        layer.weight.data = weights.reshape(inputs, outputs).T[: layer.out_features]
        layer.bias.data = torch.tensor(network[start : start + layer.out_features])
        start += outputs
    return net


@pytest.fixture(scope="module")
def taught(tab):
    """What a network learns from: images and labels, and their order in each epoch."""
    given = ask(tab, "lessons", PLAN, COUNTS, 6)
    x = torch.tensor(given["images"]).reshape(-1, 1, 12, 12)
    return x, torch.tensor(given["labels"]), given["orders"]


def test_the_length_of_steps_is_the_mean_of_those_that_torch_takes(tab, taught):
    """From where the fifth epoch ended to where the sixth one does."""
    x, y, orders = taught
    net = from_layout(clear_life(tab, 5)["network"])
    optimizer = torch.optim.SGD(net.parameters(), lr=PLAN["rate"])
    lengths = []
    for batch in torch.tensor(orders[5]).split(32):
        before = page_layout(net)
        optimizer.zero_grad()
        F.cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
        lengths.append(np.linalg.norm(page_layout(net) - before))
    end = clear_life(tab, 6)
    assert end["step"] == pytest.approx(np.mean(lengths), rel=1e-4)
    assert np.allclose(end["network"], page_layout(net), atol=1e-6)


def test_own_digits_are_known_that_torch_gets_right(tab, taught):
    x, y, _ = taught
    end = clear_life(tab, 6)
    right = from_layout(end["network"])(x).argmax(1) == y
    assert 0 < right.sum() < len(y)
    assert end["known"] == right.int().tolist()
    assert end["own"] == pytest.approx(100 * right.float().mean())


def test_a_distance_is_from_where_the_deficit_ended(tab):
    """Of a twin it is from where each window begins. Under a deficit that covers nothing, a network
    is what its twin is that is older."""
    nothing = {"kind": "cover", "onset": 8, "length": 7}
    tests = grow(tab, {"windows": [EARLY, nothing], "strengths": {"cover": "0" * 36}})
    at = {age: np.array(clear_life(tab, age)["network"]) for age in (6, 8, 14, 15, 21)}
    own = {test["age"]: test["distances"] for test in of_network(tests, 1)}
    twin = {test["age"]: test["distances"] for test in of_network(tests, TWIN)}
    assert own[21] == pytest.approx([np.linalg.norm(at[21] - at[15])], rel=1e-5)
    assert own[15] == [0]
    assert own[10] == []
    assert twin[14][1] == pytest.approx(np.linalg.norm(at[14] - at[8]), rel=1e-5)
    assert (twin[0], twin[8][1]) == ([0], 0)


def right_at_last(tab, kind):
    """The percentage of its own images that a network names correctly once it knows by heart what
    it was taught."""
    window = {"kind": kind, "onset": 0, "length": 150}
    tests = of_network(grow(tab, {"rate": 0.3, "windows": [window]}), 0)
    [own] = [test["own"] for test in tests if test["age"] == 150]
    return own


def test_a_network_learns_the_names_that_it_is_taught(tab):
    assert right_at_last(tab, "permute") == 0
    assert right_at_last(tab, "clear") > 90


# A deficit of one's own ---------------------------------------------------------------------------


COUNT = COUNTS["train"]


def own_deficit(greys, labels, in_turn=False):
    """A deficit that makes all images of one grey, {epoch: byte}."""
    pixels = [grey for grey in greys.values() for _ in range(144)]
    names = [label for label in labels for _ in greys]
    train = {"epochs": [*greys], "images": pixels * COUNT, "labels": names}
    return {
        **{"kind": "mine", "low": -1, "high": 1, "inTurn": in_turn},
        **{"count": COUNT, "train": train},
    }


WRONG = [(label + 1) % 10 for label in range(COUNT)]  # labels
MINE = {"kind": "mine", "onset": 0, "length": 7}


def end_of(tab, own, **window):
    """The network that has grown up under a student's own deficit."""
    tests = grow(tab, {"windows": [MINE | window]}, own=own)
    return of_network(tests, 0)[-1]["network"]


def test_labels_of_an_own_deficit_are_taught(tab):
    right = [label % 10 for label in range(COUNT)]
    taught = end_of(tab, own_deficit({0: 128}, right))
    other = end_of(tab, own_deficit({0: 128}, WRONG))
    assert taught != other


def test_an_own_deficit_that_changes_is_seen_as_it_is_in_each_epoch(tab):
    """From the epoch of its change on, whether it came before the window or within."""
    two = own_deficit({0: 0, 4: 255}, WRONG)
    late = end_of(tab, own_deficit({0: 255}, WRONG), onset=4)
    assert end_of(tab, two, onset=4) == late
    assert end_of(tab, two) != end_of(tab, own_deficit({0: 0}, WRONG))


def test_what_is_drawn_anew_in_each_epoch_is_seen_in_turn(tab):
    turns = {epoch: 255 * (epoch % 2) for epoch in range(7)}
    two = own_deficit({0: 0, 1: 255}, WRONG, in_turn=True)
    assert end_of(tab, two) == end_of(tab, own_deficit(turns, WRONG))


# A pause ------------------------------------------------------------------------------------------

MANY = 500  # tests


@pytest.mark.parametrize("how", ["in workers", "in the page itself"])
def test_a_pause_holds_what_is_trained_and_changes_no_number(how, tab):
    window = {"kind": "mosaic", "onset": 0, "length": 5 * MANY}
    plan = PLAN | {"windows": [window]}
    if how == "in the page itself":
        ask(tab, "loseWorkers")  # the last test of this page
    straight, paused = [ask(tab, "toldTests", plan, COUNTS, MANY, pauses) for pauses in (0, 1)]
    assert paused["before"] < MANY
    assert paused["during"] == 0
    assert paused["tests"] == straight["tests"]


# The module ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not find_spec("ziglang"), reason="pip install ziglang builds the module anew")
def test_the_module_is_what_its_source_makes(tmp_path):
    built = tmp_path / "networks.wasm"
    command = ["make", "wasm", f"PY={sys.executable}", f"WASM={built}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert built.read_bytes() == (ROOT / "cplab/lab/nursery/networks.wasm").read_bytes()
