"""Small networks in a browser: they train as torch's do, in JavaScript and in WebAssembly."""

import base64
import gzip
import subprocess
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import plain_page
from torch.nn import functional as F

import cplab
from cplab import deficits
from cplab.lab import tiny

ROOT = Path(__file__).parents[1]
WAYS = ["plain", "vectors"]  # to compute, in JavaScript and in WebAssembly
DIGITS = {"train": 40, "test": 20}
# A plan of the page, so short that it takes no time.
PLAN = tiny.PLACE | {"width": 64, "every": 5, "names": tiny.NAMES, "digits": 30, "arm": "spoilt"}
PLAN |= {"mask": deficits.MASKS["right half"], "look": 5}
PLAN |= {"phases": [["mosaic", 7], ["clear", 6]]}


@pytest.fixture(scope="module")
def tab(chromium):
    """An empty page, in which programs use `tools`, the engine, and `how`, by its name in WAYS."""
    with plain_page(chromium) as tab:
        tab.evaluate(
            """async (script) => {
              const names = "{tools: engine(), moduleBytes, inflate, share}";
              Object.assign(globalThis, new Function(`${script}; return ${names}`)());
              globalThis.how = {plain: tools.plain(), vectors: await tools.vectors(moduleBytes())};
            }""",
            # the script's block is left out, since what it defines would stay there
            tiny.SCRIPT.partition("{")[2].rpartition("customElements.define")[0],
        )
        yield tab


def random_images(count=100):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 1, 12, 12, generator=generator)


def page_layout(net):
    """The parameters of a torch network as the page lays them out: (inputs, 16) in the end."""
    parts = []
    for layer in net[1::2]:
        more = -len(layer.bias) % 16
        parts += [F.pad(layer.weight.T, (0, more)).flatten(), F.pad(layer.bias, (0, more))]
    return torch.cat(parts).detach().numpy()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_an_epoch_changes_a_network_as_torch_does(tab, way, hidden):
    x = random_images()
    rate = 0.1
    y = torch.arange(100) % 10
    orders = [torch.randperm(100, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    torch.manual_seed(2)
    net = cplab.models.build(f"mlp{hidden}", channels=1, size=12)
    sizes = [144, *[64] * hidden, 16]
    steps = [order.tolist() for order in orders]
    found = tab.evaluate(
        """([way, network, sizes, x, y, orders, rate]) => {
          const parameters = Float32Array.from(network), images = Float32Array.from(x);
          for (const order of orders)
            how[way].epoch(parameters, sizes, images, y, Int32Array.from(order), rate);
          return [...parameters];
        }""",
        [way, page_layout(net).tolist(), sizes, x.flatten().tolist(), y.tolist(), steps, rate],
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    for order in orders:
        for batch in order.split(32):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    assert np.allclose(found, page_layout(net), atol=2e-6)


@pytest.mark.parametrize("way", WAYS)
def test_one_step_follows_the_gradient_of_torch(tab, way):
    """Also of a batch that is not full, and where scores are far apart."""
    x = random_images(20)
    y = torch.arange(20) % 10
    torch.manual_seed(3)
    net = cplab.models.build("mlp2_he", channels=1, size=12)
    for layer in net[1::2]:
        layer.weight.data *= 3
    before = page_layout(net)
    after = tab.evaluate(
        """([way, network, x, y]) => {
          const parameters = Float32Array.from(network), order = Int32Array.from(y.keys());
          how[way].epoch(parameters, [144, 64, 64, 16], Float32Array.from(x), y, order, 1);
          return [...parameters];
        }""",
        [way, before.tolist(), x.flatten().tolist(), y.tolist()],
    )
    F.cross_entropy(net(x), y).backward()
    for layer in net[1::2]:
        layer.weight.data = layer.weight.grad
        layer.bias.data = layer.bias.grad
    gradient = page_layout(net)
    assert np.abs(gradient).max() > 0.1
    assert np.allclose(before - np.array(after), gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_scores_are_those_of_torch(tab, way):
    x = random_images(70)
    torch.manual_seed(4)
    net = cplab.models.build("mlp2_he", channels=1, size=12)
    given = [way, page_layout(net).tolist(), x.flatten().tolist()]
    scores = tab.evaluate(
        """([way, network, x]) => [...how[way].score(
          Float32Array.from(network), [144, 64, 64, 16], Float32Array.from(x))]""",
        given,
    )
    scores = np.reshape(scores, (70, 16))
    assert np.allclose(scores[:, :10], net(x).detach(), atol=1e-5)
    assert not scores[:, 10:].any()


def test_the_chances_of_classes_are_those_of_the_softmax(tab):
    x = random_images(1)
    torch.manual_seed(5)
    net = cplab.models.build("mlp3_he", channels=1, size=12)
    chances = tab.evaluate(
        """([network, x]) => tools.chances(Float32Array.from(network), Float32Array.from(x),
          {layers: 3, width: 64})""",
        [page_layout(net).tolist(), x.flatten().tolist()],
    )
    assert chances == pytest.approx(net(x).softmax(1)[0].tolist(), rel=1e-5)


def test_pictures_of_a_network_are_the_weights_of_each_unit(tab):
    torch.manual_seed(6)
    net = cplab.models.build("mlp2", channels=1, size=12)
    program = "network => [...tools.pictures(Float32Array.from(network))]"
    found = tab.evaluate(program, page_layout(net).tolist())
    assert np.array_equal(np.float32(found), net[1].weight.detach().flatten())


COVERED = "80100f00000000000000000000000000000f"  # corners, and where a row ends


@pytest.mark.parametrize(
    ("name", "kind", "how"),
    [
        ("none", "clear", {}),
        ("mosaic-2", "mosaic", {"block": 2}),
        ("mosaic-4", "mosaic", {"block": 4}),
        ("mosaic-5", "mosaic", {"block": 5}),  # with smaller squares at the edge
        ("flip", "flip", {}),
        ("cover", "cover", {"mask": deficits.MASKS["right half"]}),
        (f"cover-{COVERED}", "cover", {"mask": COVERED}),
    ],
)
def test_a_deficit_is_that_of_the_package(tab, name, kind, how):
    x = random_images(3)
    program = """([x, kind, how]) =>
      [...tools.spoil(Float32Array.from(x), kind, how, tools.generator(0))]"""
    seen = tab.evaluate(program, [x.flatten().tolist(), kind, how])
    expected, _ = deficits.apply_deficit(x, torch.arange(3), name)
    assert np.allclose(seen, expected.flatten(), atol=1e-6)


# permute changes labels alone
@pytest.mark.parametrize("kind", [kind for kind in tiny.OFFERS if kind != "permute"])
def test_a_page_changes_images_under_each_deficit_that_it_offers(tab, kind):
    x = random_images(1).flatten().tolist()
    program = """([x, kind, place]) =>
      [...tools.spoil(Float32Array.from(x), kind, place, tools.generator(0))]"""
    seen = tab.evaluate(program, [x, kind, tiny.PLACE])
    assert not np.allclose(seen, x)


NOISE = """(seed) => [...tools.spoil(new Float32Array(100 * 144), "noise", {},
  tools.generator(seed))]"""


def test_noise_is_standard_normal(tab):
    noise = np.array(tab.evaluate(NOISE, 1))
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1) < 0.03


def test_noise_is_the_same_for_a_seed(tab):
    assert tab.evaluate(NOISE, 1) == tab.evaluate(NOISE, 1)


def test_another_seed_has_other_noise(tab):
    assert tab.evaluate(NOISE, 1) != tab.evaluate(NOISE, 2)


def test_wrong_names_are_those_of_the_package():
    assert list(tiny.NAMES) == deficits.permutation(10).tolist()


TRAINED = """([way, plans, {train, test}]) => {
  const random = tools.generator(9);
  const part = (count) => ({
    images: Float32Array.from({length: count * 144}, () => random() - 0.5),
    labels: Uint8Array.from({length: count}, (_, i) => i % 10)});
  const tests = tools.lives({train: part(train), test: part(test)}, plans, how[way]);
  return [...tests].filter(Boolean).map((test) => ({...test,
    answers: test.answers && [...test.answers], network: test.network && [...test.network]}));
}"""


def grow(tab, way, *plans):
    return tab.evaluate(TRAINED, [way, [PLAN | plan for plan in plans], DIGITS])


@pytest.mark.parametrize("way", WAYS)
def test_a_network_is_the_same_alone_as_beside_others(tab, way):
    mine = {"seed": 3}
    alone = grow(tab, way, mine)
    beside = grow(tab, way, {"seed": 2, "layers": 3}, mine, {"seed": 4, "layers": 1})
    assert [test for test in beside if test["seed"] == 3] == alone


@pytest.mark.parametrize("way", WAYS)
def test_another_seed_is_another_network(tab, way):
    [*_, first], [*_, second] = (grow(tab, way, {"seed": seed}) for seed in (3, 5))
    assert first["network"] != second["network"]


def test_a_network_is_tested_when_asked(tab):
    """Every five epochs, and where a phase ends."""
    tests = grow(tab, "vectors", {"seed": 1})
    assert [test["epoch"] for test in tests] == [5, 7, 10, 13]


def test_a_network_answers_in_the_end_alone(tab):
    *early, last = grow(tab, "vectors", {"seed": 1})
    assert not any(test.get("answers") for test in early)
    assert len(last["answers"]) == DIGITS["test"]


def test_answers_are_as_often_right_as_is_said(tab):
    *_, last = grow(tab, "vectors", {"seed": 1})
    right = np.equal(last["answers"], np.arange(DIGITS["test"]) % 10)
    assert 100 * right.mean() == pytest.approx(last["right"])


def looks(tests):
    """The epochs in which a network is looked at."""
    return [test["epoch"] for test in tests if test["network"]]


def test_a_network_is_looked_at_now_and_then(tab):
    """At first, then every ten epochs, and where a phase ends."""
    tests = grow(tab, "vectors", {"seed": 1, "look": 10})
    assert looks(tests) == [5, 7, 10, 13]


def test_a_network_is_looked_at_first_and_last(tab):
    tests = grow(tab, "vectors", {"seed": 1, "look": 100, "phases": [["clear", 18]]})
    assert looks(tests) == [5, 18]


def test_both_ways_agree_until_rounding_decides(tab):
    plain, vectors = (grow(tab, way, {"seed": 1}) for way in WAYS)
    networks = [[test["network"] for test in tests] for tests in (plain, vectors)]
    assert np.allclose(*networks, atol=1e-5)


def right_after(tab, kind):
    """How many images of its own a network names rightly once it knows them by heart, in percent,
    whatever names it was taught."""
    *_, last = grow(tab, "vectors", {"seed": 1, "rate": 0.3, "phases": [[kind, 150]]})
    return last["own"]


def test_taught_wrong_names_a_network_learns_these(tab):
    assert right_after(tab, "permute") == 0


def test_taught_right_names_a_network_learns_these(tab):
    assert right_after(tab, "clear") > 90


LENGTHS = (300, 300, 300, 300, 100, 100, 100, 100)  # epochs


def shares(tab, workers):
    """The lengths of the plans that each worker gets."""
    plans = [{"phases": [["clear", epochs]]} for epochs in LENGTHS]
    parts = tab.evaluate("([plans, workers]) => share(plans, workers)", [plans, workers])
    return [[plan["phases"][0][1] for plan in part] for part in parts]


def test_workers_get_about_as_many_epochs_each(tab):
    assert [sum(part) for part in shares(tab, 2)] == [800, 800]


def test_no_more_workers_are_started_than_there_are_networks(tab):
    assert len(shares(tab, 100)) == len(LENGTHS)


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("content", [b"", b"a", b"abc" * 40_000, bytes(range(256)) * 300])
def test_what_a_browser_cannot_unpack_this_does(tab, content, level):
    assert inflated(tab, gzip.compress(content, level, mtime=0)) == content


def test_it_unpacks_what_is_written_in_fixed_codes(tab):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_FIXED)
    content = b"all small letters, all small letters" + bytes(range(256))
    packed = b"\x1f\x8b\x08" + bytes(7) + packer.compress(content) + packer.flush()
    packed += zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
    assert gzip.decompress(packed) == content
    assert inflated(tab, packed) == content


def test_it_unpacks_the_digits_of_a_page(tab):
    packed = base64.b64decode(tiny.digits()["packed"])
    assert inflated(tab, packed) == gzip.decompress(packed)


def inflated(tab, packed):
    program = """text => {
      const out = inflate(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
      return btoa([...out].map((byte) => String.fromCharCode(byte)).join(""));
    }"""
    return base64.b64decode(tab.evaluate(program, base64.b64encode(packed).decode()))


KEPT = {"place": {"kind": "flip"}, "answers": [3, 9, 255], "tests": [[5, 1 / 3, 100]]}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The address of a page that has the program of the networks, and nothing else."""
    path = tmp_path_factory.mktemp("program") / "page.html"
    script = tiny.SCRIPT.partition("{")[2].rpartition("customElements.define")[0]
    path.write_text(f"<!DOCTYPE html><head></head><script>{script}</script>")
    return path.as_uri()


@pytest.fixture
def kept(chromium, program):
    """A page that keeps things for its tab; a reload forgets all else."""
    with plain_page(chromium) as page:
        page.goto(program)
        yield page


PAUSED = """async ([plan, count, workers]) => {
  if (!workers) globalThis.Worker = null; // then the page itself trains
  const random = engine().generator(9);
  const part = (count) => ({
    images: Float32Array.from({length: count * 144}, () => random() - 0.5),
    labels: Uint8Array.from({length: count}, (_, i) => i % 10)});
  const digits = {train: part(40), test: part(20)};
  const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
  const train = (pausing) => new Promise((resolve) => {
    const found = {tests: [], during: 0};
    const hold = async () => {
      training.pause(true);
      await wait(200);
      const before = found.tests.length;
      await wait(200);
      Object.assign(found, {before, during: found.tests.length - before});
      training.pause(false);
    };
    const training = grow(digits, [plan], ({tests = []}) => {
      for (const test of tests) found.tests.push({...test, network: [...(test.network ?? [])]});
      if (tests.length && found.tests.length === 3 && pausing) hold();
      if (found.tests.length === count) resolve(found);
    });
  });
  return [await train(false), await train(true)];
}"""


COUNT = 1000  # of tests


@pytest.fixture(scope="module", params=[True, False], ids=["workers", "the page itself"])
def twice(chromium, program, request):
    """What a network tells that is trained straight, and with a pause."""
    plan = PLAN | {"seed": 1, "look": 5 * COUNT, "phases": [["mosaic", 5 * COUNT]]}
    with plain_page(chromium) as page:
        page.goto(program)
        return page.evaluate(PAUSED, [plan, COUNT, request.param])


def test_a_pause_holds_training(twice):
    _, paused = twice
    assert paused["before"] < COUNT
    assert paused["during"] == 0


def test_a_pause_changes_no_number(twice):
    straight, paused = twice
    assert paused["tests"] == straight["tests"]


def test_what_was_kept_is_there_after_a_reload_with_its_types(kept):
    kept.evaluate(
        """({place, answers, tests}) => {
          const looks = Float32Array.of(1 / 3, -2);
          const life = {answers: Uint8Array.from(answers), looks, tests};
          keep("one", "here", {place, seeds: new Map([[100, life]])});
        }""",
        KEPT,
    )
    kept.reload()
    found = kept.evaluate(
        """() => kept("one").map(([key, {place, seeds}]) => {
          const {answers, looks, tests} = seeds.get(100);
          return [key, place, tests, answers instanceof Uint8Array, [...answers], [...looks]];
        })"""
    )
    third = float(np.float32(1 / 3))
    expected = ["here", KEPT["place"], KEPT["tests"], True, KEPT["answers"], [third, -2]]
    assert found == [expected]


def test_what_another_version_trained_is_not_shown(kept):
    kept.evaluate("keep('one', 'here', 1)")
    assert kept.evaluate("kept('two')") == []


def test_what_another_version_trained_makes_room(kept):
    kept.evaluate("keep('one', 'here', 1)")
    kept.evaluate("keep('two', 'there', 2)")
    assert kept.evaluate("kept('one')") == []
    assert kept.evaluate("kept('two')") == [["there", 2]]


def test_without_room_the_oldest_training_is_removed(kept):
    keys = kept.evaluate(
        """async () => {
          for (let i = 0; i < 5; i++) {
            keep("one", `point ${i}`, "x".repeat(2_000_000));
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
          return kept("one").map(([key]) => key);
        }"""
    )
    assert keys == ["point 3", "point 4"]


def test_a_page_that_may_keep_nothing_goes_on(kept):
    program = """() => {
      Object.defineProperty(globalThis, "sessionStorage", {get() { throw new Error("denied"); }});
      keep("one", "here", 1);
      return kept("one");
    }"""
    assert kept.evaluate(program) == []


@pytest.mark.skipif(not find_spec("ziglang"), reason="pip install ziglang builds the module anew")
def test_the_module_is_what_its_source_makes(tmp_path):
    built = tmp_path / "networks.wasm"
    command = ["make", "wasm", f"PY={sys.executable}", f"WASM={built}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert built.read_bytes() == (ROOT / "cplab/lab/networks.wasm").read_bytes()
