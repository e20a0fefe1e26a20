"""Small networks in a browser: they train as torch's do, in JavaScript and in WebAssembly."""

import base64
import gzip
import json
import subprocess
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import open_anew, plain_page
from torch.nn import functional as F

import cplab
from cplab import deficits
from cplab.lab import tiny

ROOT = Path(__file__).parents[1]
WAYS = ["plain", "vectors"]  # to compute, in JavaScript and in WebAssembly
COUNTS = {"train": 40, "test": 20}  # random digits of a page
SIZES = [144, 64, 64, 16]  # pixels, units of two layers, and scores, of which ten are used
# A plan of the page, so short that it takes no time.
PLAN = tiny.PLACE | {"width": 64, "every": 5, "names": tiny.NAMES, "digits": 30, "arm": "spoilt"}
PLAN |= {"look": 5, "seed": 1, "phases": [["mosaic", 7], ["clear", 6]]}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a page with the program of the networks and the functions of networks.js."""
    path = tmp_path_factory.mktemp("program") / "page.html"
    # what the screen's script defines is in a block, and would stay there
    program = tiny.SCRIPT.partition("{")[2].rpartition("customElements.define")[0]
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


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_an_epoch_changes_a_network_as_torch_does(tab, way, hidden):
    x = random_digits(100)
    y = torch.arange(100) % 10
    orders = []
    for epoch in range(4):
        orders.append(torch.randperm(100, generator=torch.Generator().manual_seed(epoch)))
    net = newborn(f"mlp{hidden}", seed=2)
    sizes = [144, *[64] * hidden, 16]

    rows = [order.tolist() for order in orders]
    trained = ask(tab, "trained", way, page_layout(net), sizes, x, y, rows, 0.1)

    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for order in orders:
        for batch in order.split(32):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    assert np.allclose(trained, page_layout(net), atol=2e-6)


@pytest.mark.parametrize("way", WAYS)
def test_one_step_follows_the_gradient_of_torch(tab, way):
    """Also of a batch that is not full, and where scores are far apart."""
    x = random_digits(20)
    y = torch.arange(20) % 10
    net = newborn("mlp2_he", seed=3)
    for layer in net[1::2]:
        layer.weight.data *= 3
    before = page_layout(net)
    after = ask(tab, "trained", way, before, SIZES, x, y, [[*range(20)]], 1)
    F.cross_entropy(net(x), y).backward()
    for layer in net[1::2]:
        layer.weight.data = layer.weight.grad
        layer.bias.data = layer.bias.grad
    gradient = page_layout(net)
    assert np.abs(gradient).max() > 0.1
    assert np.allclose(before - np.array(after), gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_scores_are_those_of_torch(tab, way):
    x = random_digits(70)
    net = newborn("mlp2_he", seed=4)
    scores = np.reshape(ask(tab, "scores", way, page_layout(net), SIZES, x), (70, 16))
    assert np.allclose(scores[:, :10], net(x).detach(), atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_scores_of_no_class_are_0(tab, way):
    net = newborn("mlp2_he", seed=4)
    scores = ask(tab, "scores", way, page_layout(net), SIZES, random_digits(70))
    assert not np.reshape(scores, (70, 16))[:, 10:].any()


def test_the_chances_of_classes_are_those_of_the_softmax(tab):
    x = random_digits(1)
    net = newborn("mlp3_he", seed=5)
    chances = ask(tab, "chances", page_layout(net), {"layers": 3, "width": 64}, x)
    assert chances == pytest.approx(net(x).softmax(1)[0].tolist(), rel=1e-5)


def test_pictures_of_a_network_are_the_weights_of_each_unit(tab):
    net = newborn("mlp2", seed=6)
    pictures = ask(tab, "unitPictures", page_layout(net))
    assert np.array_equal(np.float32(pictures), net[1].weight.detach().flatten())


# Deficits -----------------------------------------------------------------------------------------

CORNERS = "80100f00000000000000000000000000000f"  # a mask of corners, and of where a row ends


@pytest.mark.parametrize(
    ("name", "kind", "place"),
    [
        ("none", "clear", {}),
        ("mosaic-2", "mosaic", {"block": 2}),
        ("mosaic-4", "mosaic", {"block": 4}),
        ("mosaic-5", "mosaic", {"block": 5}),  # with smaller squares at the edge
        ("flip", "flip", {}),
        ("cover", "cover", {"mask": deficits.MASKS["right half"]}),
        (f"cover-{CORNERS}", "cover", {"mask": CORNERS}),
    ],
)
def test_a_deficit_is_that_of_the_package(tab, name, kind, place):
    x = random_digits(3)
    seen = ask(tab, "imagesUnder", kind, place, x)
    expected, _ = deficits.apply_deficit(x, torch.arange(3), name)
    assert np.allclose(seen, expected.flatten(), atol=1e-6)


# permute changes labels alone
@pytest.mark.parametrize("kind", [kind for kind in tiny.OFFERS if kind != "permute"])
def test_a_page_changes_images_under_each_deficit_that_it_offers(tab, kind):
    x = random_digits(1)
    seen = ask(tab, "imagesUnder", kind, tiny.PLACE, x)
    assert not np.allclose(seen, x.flatten())


def noise(tab, seed):
    """What a hundred images are under noise."""
    return np.array(ask(tab, "imagesUnder", "noise", {}, [0] * 100 * 144, seed))


def test_noise_is_standard_normal(tab):
    images = noise(tab, 1)
    assert (images.mean(), images.std()) == pytest.approx((0, 1), abs=0.03)


def test_noise_is_the_same_for_a_seed(tab):
    assert np.array_equal(noise(tab, 1), noise(tab, 1))


def test_another_seed_has_other_noise(tab):
    assert not np.array_equal(noise(tab, 1), noise(tab, 2))


def test_wrong_names_are_those_of_the_package():
    assert list(tiny.NAMES) == deficits.permutation(10).tolist()


# A life -------------------------------------------------------------------------------------------


def grow(tab, *changes, way="vectors"):
    """The tests of networks that grow up beside one another, each after PLAN with its changes."""
    return ask(tab, "testsOf", way, [PLAN | changed for changed in changes], COUNTS)


@pytest.mark.parametrize("way", WAYS)
def test_a_network_is_the_same_alone_as_beside_others(tab, way):
    alone = grow(tab, {"seed": 3}, way=way)
    beside = grow(tab, {"seed": 2, "layers": 3}, {"seed": 3}, {"seed": 4, "layers": 1}, way=way)
    assert [test for test in beside if test["seed"] == 3] == alone


@pytest.mark.parametrize("way", WAYS)
def test_another_seed_is_another_network(tab, way):
    first = grow(tab, {"seed": 3}, way=way)
    second = grow(tab, {"seed": 5}, way=way)
    assert first[-1]["network"] != second[-1]["network"]


def test_a_network_is_tested_every_five_epochs(tab):
    tests = grow(tab, {"phases": [["clear", 15]]})
    assert [test["epoch"] for test in tests] == [5, 10, 15]


def test_a_network_is_tested_where_a_phase_ends(tab):
    tests = grow(tab, {"phases": [["mosaic", 3], ["clear", 1]]})
    assert [test["epoch"] for test in tests] == [3, 4]


def test_only_the_last_test_has_answers(tab):
    tests = grow(tab, {"phases": [["clear", 15]]})
    assert [len(test["answers"]) for test in tests] == [0, 0, COUNTS["test"]]


def test_the_answers_are_right_as_often_as_the_test_says(tab):
    *_, last = grow(tab, {})
    right = np.equal(last["answers"], np.arange(COUNTS["test"]) % 10)
    assert 100 * right.mean() == pytest.approx(last["right"])


def looked_at(tests):
    """The epochs after which a test has the network, for pictures of it."""
    return [test["epoch"] for test in tests if test["network"]]


def test_a_network_is_looked_at_every_ten_epochs_after_its_first_test(tab):
    tests = grow(tab, {"look": 10, "phases": [["clear", 30]]})
    assert looked_at(tests) == [5, 10, 20, 30]


def test_a_network_is_looked_at_where_a_phase_ends(tab):
    tests = grow(tab, {"look": 100, "phases": [["mosaic", 13], ["clear", 8]]})
    assert looked_at(tests) == [5, 13, 21]


def test_both_ways_agree_until_rounding_decides(tab):
    networks = {way: [test["network"] for test in grow(tab, {}, way=way)] for way in WAYS}
    assert np.allclose(networks["plain"], networks["vectors"], atol=1e-5)


def right_at_last(tab, kind):
    """The percentage of its own images that a network names correctly once it knows by heart what
    it was taught."""
    *_, last = grow(tab, {"rate": 0.3, "phases": [[kind, 150]]})
    return last["own"]


def test_a_network_that_is_taught_wrong_names_learns_these(tab):
    assert right_at_last(tab, "permute") == 0


def test_a_network_that_is_taught_right_names_learns_these(tab):
    assert right_at_last(tab, "clear") > 90


# Workers ------------------------------------------------------------------------------------------

LENGTHS = (300, 300, 300, 300, 100, 100, 100, 100)  # epochs


def shares(tab, workers):
    """The lengths of the plans that each worker gets."""
    plans = [{"phases": [["clear", epochs]]} for epochs in LENGTHS]
    parts = ask(tab, "share", plans, workers)
    return [[plan["phases"][0][1] for plan in part] for part in parts]


def test_workers_get_about_as_many_epochs_each(tab):
    assert [sum(part) for part in shares(tab, 2)] == [800, 800]


def test_no_more_workers_are_started_than_there_are_networks(tab):
    assert len(shares(tab, 100)) == len(LENGTHS)


# A pause ------------------------------------------------------------------------------------------

MANY = 500  # tests


@pytest.fixture(scope="module", params=[True, False], ids=["workers", "the page itself"])
def straight_and_paused(chromium, address, request):
    """The tests of a network that is trained without a pause, and with one."""
    plan = PLAN | {"look": 5 * MANY, "phases": [["mosaic", 5 * MANY]]}
    with plain_page(chromium) as page:
        page.goto(address)
        ask(page, "startEngine")
        if not request.param:
            ask(page, "loseWorkers")
        return [ask(page, "toldTests", plan, COUNTS, MANY, pauses) for pauses in (False, True)]


def test_a_pause_comes_before_all_is_trained(straight_and_paused):
    _, paused = straight_and_paused
    assert paused["before"] < MANY


def test_nothing_is_trained_during_a_pause(straight_and_paused):
    _, paused = straight_and_paused
    assert paused["during"] == 0


def test_a_pause_changes_no_number(straight_and_paused):
    straight, paused = straight_and_paused
    assert paused["tests"] == straight["tests"]


# Unpacking where the browser cannot ---------------------------------------------------------------


def inflated(tab, packed):
    """Packed bytes as the page unpacks them."""
    return base64.b64decode(ask(tab, "inflated", base64.b64encode(packed).decode()))


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("content", [b"", b"a", b"abc" * 40_000, bytes(range(256)) * 300])
def test_unpacking_gives_the_bytes_that_were_packed(tab, content, level):
    assert inflated(tab, gzip.compress(content, level, mtime=0)) == content


def test_fixed_codes_are_unpacked(tab):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_FIXED)
    content = b"all small letters, all small letters" + bytes(range(256))
    packed = b"\x1f\x8b\x08" + bytes(7) + packer.compress(content) + packer.flush()
    packed += zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
    assert inflated(tab, packed) == gzip.decompress(packed)


def test_the_digits_of_a_page_are_unpacked(tab):
    packed = base64.b64decode(tiny.digits()["packed"])
    assert inflated(tab, packed) == gzip.decompress(packed)


# What a tab keeps ---------------------------------------------------------------------------------

THIRD = float(np.float32(1 / 3))
LIFE = {
    "place": {"kind": "flip"},
    "seed": 100,
    "answers": [3, 9, 255],
    "looks": [THIRD, -2],
    "tests": [[5, 1 / 3, 100]],
}


@pytest.fixture
def page(used_page, address):
    """A page that keeps things for its tab, and has kept none yet; a reload forgets all else."""
    open_anew(used_page, address)
    return used_page


@pytest.fixture
def after_reload(page):
    """A life that was kept, with the types of its arrays, after a reload."""
    ask(page, "keepLife", LIFE)
    page.reload()
    return ask(page, "keptLife", LIFE["seed"])


def test_a_kept_life_is_there_after_a_reload(after_reload):
    assert after_reload["life"] == LIFE


def test_the_arrays_of_a_kept_life_have_their_types(after_reload):
    assert after_reload["types"] == ["Uint8Array", "Float32Array"]


def test_trainings_of_another_version_are_not_shown(page):
    ask(page, "keep", "one", "here", 1)
    assert ask(page, "kept", "two") == []


def test_trainings_of_another_version_are_forgotten(page):
    ask(page, "keep", "one", "here", 1)
    ask(page, "keep", "two", "there", 2)
    assert ask(page, "kept", "one") == []


def test_a_training_is_shown_to_its_own_version(page):
    ask(page, "keep", "two", "there", 2)
    assert ask(page, "kept", "two") == [["there", 2]]


def test_without_room_the_oldest_trainings_are_removed(page):
    ask(page, "keepLong", ["first", "second", "third", "fourth"], 2_000_000)
    assert [name for name, _ in ask(page, "kept", "one")] == ["third", "fourth"]


def test_a_page_that_may_keep_nothing_goes_on(chromium, address):
    with plain_page(chromium) as page:
        page.goto(address)
        ask(page, "forbidKeeping")
        ask(page, "keep", "one", "here", 1)
        assert ask(page, "kept", "one") == []


# The module ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not find_spec("ziglang"), reason="pip install ziglang builds the module anew")
def test_the_module_is_what_its_source_makes(tmp_path):
    built = tmp_path / "networks.wasm"
    command = ["make", "wasm", f"PY={sys.executable}", f"WASM={built}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert built.read_bytes() == (ROOT / "cplab/lab/networks.wasm").read_bytes()
