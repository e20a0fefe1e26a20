"""Images: where they are looked for, what is refused, one's own, padding and shrinking."""

import hashlib
import re
import threading
import urllib.error
import urllib.request
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import IMAGES, digits, one_line
from PIL import Image
from torchvision import datasets

import cplab
from cplab import data
from cplab.digits import draw
from cplab.specs.profiles import PROFILES

# Where images are looked for ---------------------------------------------------------------------


def filled_with(value):
    """A set whose every pixel is `value`, to tell where it came from."""
    arrays = digits(20, 10)
    return arrays | {part: np.full_like(arrays[part], value) for part in ("train_x", "test_x")}


def fill(folder, value):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "mnist.npz", **filled_with(value))


def pixel():
    [value] = np.unique(data.load_arrays("mnist")[0]["train_x"])
    return value


@pytest.fixture
def torchvision(monkeypatch):
    """A function that says what torchvision downloads as MNIST; what is downloaded is listed."""
    downloaded = []

    def has(arrays):
        def mnist(root, train, download):
            downloaded.append(root)
            half = "train" if train else "test"
            return SimpleNamespace(data=arrays[f"{half}_x"], targets=arrays[f"{half}_y"])

        monkeypatch.setattr(datasets, "MNIST", mnist)
        return downloaded

    return has


@pytest.mark.parametrize("first", [1, 2, 3])
def test_the_first_place_that_has_the_set_is_read(
    first, tmp_path, own_cache, torchvision, monkeypatch
):
    """$CPLAB_DATA, the cache, the network."""
    monkeypatch.setenv("CPLAB_DATA", str(tmp_path / "given"))
    downloaded = torchvision(filled_with(first))
    for place, folder in ((1, tmp_path / "given"), (2, own_cache / "data")):
        folder.mkdir(parents=True)
        if place >= first:
            fill(folder, place)
    assert data.is_here("mnist") == (first < 3)
    assert pixel() == first
    assert bool(downloaded) == (first == 3)


PLACES = ('"{}"', "“{}”", "{}/", "{}/mnist.npz", "~/images", "$HOME/images", "images")


@pytest.mark.parametrize("given", PLACES)
def test_a_place_is_found_however_it_is_written_and_from_wherever_one_goes(
    given, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CPLAB_DATA", given.format(tmp_path / "images"))
    fill(tmp_path / "images", 7)
    assert data.is_here("mnist")
    monkeypatch.chdir(tmp_path / "images")
    assert pixel() == 7


def test_a_place_that_is_not_there_is_named_and_none_has_no_photographs(own_cache, monkeypatch):
    fill(own_cache / "data", 1)
    assert data.is_here("mnist")
    monkeypatch.setenv("CPLAB_DATA", data.NOWHERE)  # as for pages that may not show them
    assert not data.is_here("mnist")
    monkeypatch.setenv("CPLAB_DATA", str(own_cache / "images"))
    assert not data.is_here("mnist")  # whoever only looks goes on
    one_line(lambda: data.load_arrays("mnist"), "CPLAB_DATA", "directory")


def test_a_set_is_fetched_once_by_all_who_want_it_and_named_an_original(
    torchvision, own_cache, capsys
):
    downloaded, found, all_ask = torchvision(digits()), [], threading.Barrier(3)

    def ask():
        all_ask.wait()
        found.append(data.load_arrays("mnist"))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(downloaded) == 2  # halves
    assert [copy for _, copy in found] == 3 * ["mnist-original"]
    said = capsys.readouterr().err
    assert "12 MB" in said  # the size, before the wait
    assert str(own_cache) in said


def test_without_a_network_one_line_says_three_ways_out(monkeypatch, own_cache):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    words = ("cplab data fetch cifar10", "$CPLAB_DATA", "--dataset drawn")
    one_line(lambda: data.images("cifar10", "ci"), *words)
    assert not [*(own_cache / "data").glob("*.npz")]


def test_a_download_that_breaks_off_leaves_nothing_that_could_be_taken_for_data(
    torchvision, monkeypatch, own_cache
):
    def break_off(file, **arrays):
        file.write(b"PK\x03\x04 and no more")
        raise OSError("No space left")

    torchvision(digits())
    monkeypatch.setattr(np, "savez", break_off)
    one_line(lambda: data.load_arrays("mnist"), "No space left")
    assert not [*own_cache.rglob("*partial*"), *own_cache.rglob("*.npz")]


DAMAGED = {
    "a bit": lambda content: content.replace(b"\x64", b"\x65"),
    "cut off": lambda content: content[:1000],
    "a pointer": lambda content: b"version 1",
    "sides": {"train_x": np.zeros((300, 30, 30), np.uint8)},
    "count": {"train_x": np.zeros((299, 28, 28), np.uint8)},
    "labels": {"train_y": np.full(300, 1000)},
    "an array less": {"train_x": None},
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_damaged_or_no_labelled_images_is_refused(small_mnist, damage):
    if callable(damage):
        small_mnist.write_bytes(damage(small_mnist.read_bytes()))
    else:
        kept = {name: a for name, a in (digits() | damage).items() if a is not None}
        np.savez(small_mnist, **kept)
    one_line(lambda: data.images("mnist", "ci"), small_mnist, "remove it", "$CPLAB_DATA")


# Sets of one's own -------------------------------------------------------------------------------


def pictures(folder, names=("cat", "dog"), count=5, halves=("",)):
    """Drawn pictures, a folder for each class: the second colour tells the class."""
    for half, (label, kind), number in product(halves, enumerate(names), range(count)):
        path = folder / half / kind / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 50), (5 * number, 200 * label, 50)).save(path)
    return folder


def in_halves(*counts, **labels):
    """Digits as torchvision has them, or with other labels."""
    arrays = digits(*counts or (60, 40))
    return [
        SimpleNamespace(data=arrays[f"{half}_x"], targets=labels.get(half, arrays[f"{half}_y"]))
        for half in ("train", "test")
    ]


def test_images_of_ones_own_are_known_by_their_content(tmp_path):
    np.savez(tmp_path / "My letters.npz", **digits(20, 10))
    name = data.images_from(tmp_path / "My letters.npz")
    assert re.fullmatch("my_letters@[0-9a-f]{12}", name)
    np.savez(tmp_path / "other.npz", **digits(20, 10, seed=1))
    assert data.images_from(tmp_path / "other.npz", name="My letters") != name
    images = data.images(name, "ci")
    assert (images.copy, len(images.train_x), images.train_x.shape[-1]) == (name, 20, 1)
    assert (data.channels(name), data.classes(name)) == (1, 10)


@pytest.mark.parametrize("name", ["Äpfel", "图片", "9 Äpfel", "😀"])
def test_a_folder_may_be_called_as_people_call_theirs(name, tmp_path):
    own = data.images_from(pictures(tmp_path / name))
    run = cplab.Run(dataset=own, profile="ci")
    assert run.dataset == own
    assert data.images(run.dataset, "ci").copy == own


def test_what_a_profile_takes_is_drawn_evenly_from_all_classes():
    """However they lie: sorted by class, of which one is rare."""
    train, test = (np.repeat(np.arange(4), n) for n in ([400, 400, 40, 400], [200, 200, 10, 200]))
    halves = in_halves(len(train), len(test), train=train, test=test)
    for half in halves:
        half.data[:] = (60 * half.targets)[:, None, None]
    own = data.images_from(*halves)
    images = data.images(own, "ci")
    assert torch.equal(images.train_x, data.images(own, "ci").train_x)  # by rule
    assert sorted(torch.bincount(images.train_y).tolist()) == [40, 157, 157, 158]
    assert sorted(torch.bincount(images.test_y).tolist()) == [10, 82, 82, 82]
    assert torch.equal((images.train_x[:, 4, 4, -1] // 60).long(), images.train_y)
    assert len({*images.train_y[:4].tolist()}) == 4  # a measurement of some has all, too


def test_a_run_trains_on_images_of_ones_own_with_a_channel_that_is_the_same_everywhere():
    x = np.random.default_rng(0).integers(0, 256, (600, 32, 32, 3), dtype=np.uint8)
    x[..., 2] = 0
    half = SimpleNamespace(data=x, targets=np.arange(600) % 10)
    own = data.images_from(half, half, name="letters")
    images = data.images(own, "ci")
    assert not images.normal(images.train_x)[:, 2].any()  # no division by zero
    result = cplab.run(deficit="blur", length=1, recovery=1, profile="ci", dataset=own)
    assert (result.spec.dataset, result.copy) == (own, own)
    assert cplab.find(result.spec).accuracy == result.accuracy > 0
    one_line(lambda: cplab.Run(dataset="letters@01"), "letters@")
    one_line(lambda: cplab.results.ship([result], "letters"), "images that nobody else has")


@pytest.mark.parametrize("halves", [("",), ("train", "test"), ("Train", "TEST", "val")])
def test_a_folder_of_pictures_is_cut_to_squares_of_32_pixels(tmp_path, halves):
    home = pictures(tmp_path / "pets", halves=halves)
    (home / halves[0] / ".checkpoints").mkdir()  # neither it nor an empty folder is a class
    (home / halves[0] / "a").mkdir()
    (home / halves[0] / "cat" / ".DS_Store").write_text("no picture")
    name = data.images_from(home)
    arrays, _ = data.load_arrays(name)
    count = {"train": 8, "test": 2} if halves == ("",) else {"train": 10, "test": 10}
    for half, many in count.items():
        assert arrays[f"{half}_x"].shape == (many, 32, 32, 3)
        assert arrays[f"{half}_x"][:, 0, 0, 1].tolist() == (200 * arrays[f"{half}_y"]).tolist()
    assert data.classes(name) == 2


# Four squares of one picture: black, white, a middle grey, a darker one.
FLAT = np.array([[0, 255], [128, 64]], np.uint8).repeat(16, 0).repeat(16, 1)
CLEAR = Image.merge("LA", [Image.fromarray(FLAT), Image.fromarray((FLAT > 0) * np.uint8(255))])
UPSIDE_DOWN = Image.Exif()
UPSIDE_DOWN[274] = 3
GREY, TURNED, ON_WHITE = [0, 255, 128, 64], [64, 128, 255, 0], [255, 255, 128, 64]
SEEN = {
    "8 bits.png": (Image.fromarray(FLAT), {}, GREY),
    "clear palette.gif": (Image.fromarray(FLAT).convert("P"), {"transparency": 0}, ON_WHITE),
    "clear.png": (CLEAR, {}, ON_WHITE),
    "printed.tif": (Image.fromarray(FLAT).convert("RGB").convert("CMYK"), {}, GREY),
    "turned.png": (Image.fromarray(FLAT), {"exif": UPSIDE_DOWN}, TURNED),
}


@pytest.mark.parametrize("name", SEEN)
def test_a_picture_becomes_what_an_eye_sees(name, tmp_path):
    picture, options, squares = SEEN[name]
    picture.save(tmp_path / name, **options)
    seen = np.asarray(data.read_picture(tmp_path / name))
    assert seen.shape == (32, 32, 3)
    for across in (seen[..., 0], seen[..., 1], seen[..., 2]):
        assert across[::31, ::31].ravel().tolist() == pytest.approx(squares, abs=1)


@pytest.mark.parametrize("bits", [16, 32, "cut off"])
def test_a_picture_that_cannot_be_read_is_refused_by_its_name(bits, tmp_path):
    home = pictures(tmp_path / "pets")
    path = home / "cat" / "8.tif"
    if bits == "cut off":
        path.write_bytes((home / "cat" / "1.png").read_bytes()[:60])
    else:
        Image.fromarray(FLAT.astype(f"u{bits // 8}" if bits == 16 else "i4")).save(path)
    one_line(lambda: data.images_from(home), path, "take it out")


def test_a_data_set_of_more_classes_has_as_many_labels_and_outputs():
    own = data.images_from(*in_halves(train=[*range(12)] * 5, test=[*range(10, 14)] * 10))
    run = cplab.Run(deficit="permute", length=1, recovery=1, profile="ci", dataset=own)
    assert data.classes(own) == 14
    assert run.task.birth(torch.device("cpu")).net(torch.zeros(2, 1, 8, 8)).shape == (2, 14)
    x, y = torch.zeros(14, 1, 8, 8), torch.arange(14)
    permuted = cplab.apply_deficit(x, y, "permute", classes=14)[1]
    assert sorted(permuted.tolist()) == y.tolist()
    assert not (permuted == y).any()


def test_images_that_do_not_fit_are_refused_in_one_line(tmp_path):
    large = {f"{half}_x": np.zeros((5, 64, 64, 3), np.uint8) for half in ("train", "test")}
    np.savez(tmp_path / "large.npz", **digits(5, 5) | large)
    pictures(tmp_path / "few", count=4)
    pictures(tmp_path / "val", halves=("train", "val"))
    pictures(tmp_path / "apart", halves=("train", "test"))
    pictures(tmp_path / "apart" / "test", ("cow", "cat"))
    half = SimpleNamespace(data=digits()["train_x"] / 255, targets=[0] * 300)
    for source, word in (
        ((tmp_path / "large.npz",), "28 × 28"),
        ((tmp_path / "few",), "5 pictures"),
        ((tmp_path / "val",), "val"),
        ((tmp_path / "apart",), "cow"),
        ((tmp_path / "none.npz",), "none.npz"),
        ((half,), "test half"),
        ((half, half), "uint8"),
        (([1], [2]), "no data and targets"),
    ):
        one_line(lambda source=source: data.images_from(*source), word)
    one_line(lambda: data.images("pets@0123456789ab", "ci"), "cplab.images_from")
    many = data.images_from(*in_halves(300, 300, train=np.arange(300)))
    one_line(lambda: data.images(many, "ci"), "256", "300 classes", "larger profile")


# What a profile has -------------------------------------------------------------------------------


def test_a_copy_has_the_name_that_its_file_says_or_one_of_its_images(small_mnist):
    assert data.images("mnist", "ci").copy == "small"
    names = []
    for seed in (0, 0, 1):
        np.savez(small_mnist, **digits(seed=seed))
        names.append(data.load_arrays("mnist")[1])
    assert names[0] == names[1] != names[2]
    assert all(name.startswith("mnist-") and len(name) == 18 for name in names)


def shrunk(x, size):
    """uint8 (N, 32, 32, C): the mean of each block of pixels, halves to even."""
    n, step = len(x), 32 // size
    blocks = x.astype(np.float64).reshape(n, size, step, size, step, x.shape[-1])
    return np.rint(blocks.mean((2, 4))).astype(np.uint8)


@pytest.mark.parametrize(("profile", "size"), [("paper", 32), ("ci", 8)])
@pytest.mark.usefixtures("small_mnist")
def test_images_are_padded_with_zeros_to_32_and_shrunk_to_the_means_of_blocks(profile, size):
    x = np.pad(digits()["train_x"], ((0, 0), (2, 2), (2, 2)))[..., None]
    assert np.array_equal(data.images("mnist", profile).train_x, shrunk(x, size))
    colour = data.practice()["test_x"][: PROFILES[profile].test_images]
    assert np.array_equal(data.images("practice", profile).test_x, shrunk(colour, size))


def test_normal_images_have_mean_0_and_deviation_1_over_the_training_images():
    images = data.images("practice", "ci")
    x = images.normal(images.train_x)
    assert (x.dtype, x.shape) == (torch.float32, (512, 3, 8, 8))
    assert x.is_contiguous(memory_format=torch.channels_last)
    pixels = images.train_x.numpy().astype(float)
    expected = (images.test_x.numpy() - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))
    got = images.normal(images.test_x).permute(0, 2, 3, 1).numpy()
    assert np.allclose(got, expected, atol=1e-3)


def test_parts_of_a_set_are_disjoint_and_have_the_same_test_images():
    labels = torch.as_tensor(data.load_arrays("practice")[0]["train_y"]).long()
    first, second = (data.images(name, "ci") for name in ("practice", "practice-part2"))
    assert torch.equal(first.train_y, labels[:512])
    assert torch.equal(second.train_y, labels[512:1024])
    assert torch.equal(first.test_x, second.test_x)
    one_line(lambda: data.images("practice-part9", "paper"), "take a part before")
    one_line(lambda: cplab.Run(dataset="practice-part1"), "choose one of")


DRAWN = """
import hashlib
from cplab import digits
print([hashlib.sha256(part.tobytes()).hexdigest()[:12] for part in digits.draw(200, "train")])
"""


def test_drawn_digits_are_the_same_in_every_process_and_none_is_there_twice(python):
    here = [hashlib.sha256(part.tobytes()).hexdigest()[:12] for part in draw(200, "train")]
    assert python(DRAWN).stdout.read().strip() == str(here)
    arrays = data.load_arrays("drawn")[0]
    assert np.array_equal(arrays["train_x"][:200], draw(200, "train")[0])
    images = np.concatenate([arrays["train_x"], arrays["test_x"]])
    assert len({image.tobytes() for image in images}) == len(images)
    few = data.own_images("drawn", "tiny", 0, 300), data.own_images("drawn", "tiny", 1, 300)
    assert few[0].train_x.shape == (300, 12, 12, 1)
    assert not torch.equal(few[0].train_x, few[1].train_x)
    assert torch.equal(few[0].test_x, few[1].test_x)
    one_line(lambda: data.own_images("drawn", "tiny", 0, 10_000), "6000", "10000")


@pytest.mark.parametrize(
    ("dataset", "shape", "mean", "std"),
    [
        ("cifar10", (50_000, 32, 32, 3), (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ("mnist", (60_000, 28, 28), (0.1307,), (0.3081,)),
        ("fashion_mnist", (60_000, 28, 28), (0.2860,), (0.3530,)),
    ],
)
def test_real_images_are_what_their_authors_describe(monkeypatch, dataset, shape, mean, std):
    if not (IMAGES / f"{dataset}.npz").exists():
        pytest.skip(f"no {dataset} images: set $CPLAB_DATA or run `cplab data fetch {dataset}`")
    monkeypatch.setenv("CPLAB_DATA", str(IMAGES))
    arrays, copy = data.load_arrays(dataset)
    assert copy.startswith(dataset)
    assert arrays["train_x"].shape == shape
    assert arrays["test_x"].shape == (10_000, *shape[1:])
    assert {*arrays["train_y"]} == {*arrays["test_y"]} == {*range(10)}
    pixels = arrays["train_x"].reshape(-1, len(mean))
    share = np.stack([np.bincount(c, minlength=256) for c in pixels.T]) / len(pixels)
    level = np.arange(256) / 255
    assert share @ level == pytest.approx(mean, abs=0.003)
    deviation = np.sqrt(share @ level**2 - (share @ level) ** 2)
    assert deviation == pytest.approx(std, abs=0.003)
