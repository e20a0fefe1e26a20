"""Images: where they are looked for, what is refused, one's own, padding and shrinking."""

import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from conftest import digits, forget_lookups, one_line
from PIL import Image
from torchvision import datasets

import cplab
from cplab import data
from cplab.digits import draw
from cplab.specs.profiles import PROFILES


def fill(folder, value):
    """A set whose every pixel is `value`, to tell where it came from."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = digits(20, 10)
    flat = {name: np.full_like(arrays[name], value) for name in ("train_x", "test_x")}
    np.savez(folder / "mnist.npz", **arrays | flat)
    forget_lookups()


@pytest.fixture
def downloads(monkeypatch):
    """What is downloaded by torchvision, a stand-in that has the small digits as MNIST."""
    done = []

    def mnist(root, train, download):
        done.append(half := "train" if train else "test")
        return SimpleNamespace(data=digits()[f"{half}_x"], targets=digits()[f"{half}_y"])

    monkeypatch.setattr(datasets, "MNIST", mnist)
    monkeypatch.setattr(data, "ROOTS", ())
    return done


def test_a_set_is_read_from_the_first_place_that_has_it_or_fetched_once_by_all_who_want_it(
    downloads, tmp_path, own_cache, monkeypatch, capsys
):
    """However the place is written."""
    (tmp_path / "given").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CPLAB_DATA", '"~/given"')
    assert not data.is_here("mnist")
    with ThreadPoolExecutor(3) as pool:
        found = [pool.submit(data.load_arrays, "mnist") for _ in range(3)]
    assert [one.result()[1] for one in found] == 3 * ["mnist-original"]
    assert "12 MB" in capsys.readouterr().err  # the size, before the wait
    for value, folder in ((2, own_cache / "data"), (1, tmp_path / "given")):
        assert data.is_here("mnist")
        fill(folder, value)
        assert (data.load_arrays("mnist")[0]["train_x"] == value).all()
    assert downloads == ["train", "test"]
    monkeypatch.setenv("CPLAB_DATA", str(tmp_path / "nowhere"))
    one_line(lambda: data.load_arrays("mnist"), "CPLAB_DATA", "directory")


def test_files_that_torchvision_left_are_taken_and_nothing_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("CPLAB_DATA", str(tmp_path))
    left = {"train_x": "train-images-idx3", "train_y": "train-labels-idx1"}
    left |= {"test_x": "t10k-images-idx3", "test_y": "t10k-labels-idx1"}
    (folder := tmp_path / "MNIST/raw").mkdir(parents=True)
    for name, array in digits().items():
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
        (folder / f"{left[name]}-ubyte").write_bytes(head + array.astype("u1").tobytes())
    assert data.is_here("mnist")
    monkeypatch.delattr(urllib.request, "urlopen")
    arrays, copy = data.load_arrays("mnist")
    assert copy == "mnist-original"
    assert all((arrays[name] == array).all() for name, array in digits().items())


@pytest.mark.usefixtures("downloads")
def test_a_download_that_fails_says_ways_out_and_leaves_nothing(monkeypatch, own_cache):
    def break_off(file, **arrays):
        file.write(b"PK\x03\x04 and no more")
        raise OSError("No space left")

    unreachable = urllib.error.URLError("Name or service not known")
    monkeypatch.setattr(urllib.request, "urlopen", Mock(side_effect=unreachable))
    monkeypatch.setattr(np, "savez", break_off)
    one_line(lambda: data.load_arrays("mnist"), "No space left")
    words = ("cplab data fetch cifar10", "$CPLAB_DATA", "--dataset drawn")
    one_line(lambda: data.images("cifar10", "ci"), *words)
    assert not [*own_cache.rglob("*partial*"), *own_cache.rglob("*.npz")]


def test_a_file_that_is_damaged_or_no_labelled_images_is_refused(small_mnist):
    def refused():
        forget_lookups()
        one_line(lambda: data.images("mnist", "ci"), small_mnist, "remove it", "$CPLAB_DATA")

    content = small_mnist.read_bytes()
    for damaged in (content.replace(b"\x64", b"\x65"), content[:1000]):
        small_mnist.write_bytes(damaged)
        refused()
    for part in ({"train_y": np.full(300, 1000)}, {"train_x": np.zeros((300, 64, 64), np.uint8)}):
        np.savez(small_mnist, **digits() | part)
        refused()


def pictures(folder, names=("cat", "dog"), count=5, halves=("",)):
    """Drawn pictures, a folder for each class: the second colour tells the class."""
    for half, (label, kind), number in product(halves, enumerate(names), range(count)):
        path = folder / half / kind / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 50), (5 * number, 200 * label, 50)).save(path)
    return folder


def in_halves(*counts, **labels):
    """Digits as torchvision has them, or with other labels."""
    arrays = digits(*counts)
    return [
        SimpleNamespace(data=arrays[f"{half}_x"], targets=labels.get(half, arrays[f"{half}_y"]))
        for half in ("train", "test")
    ]


def test_a_profiles_images_are_drawn_evenly_from_all_classes():
    """However they lie: sorted by class, of which one is rare."""
    counts = {"train": [400, 400, 40, 400], "test": [200, 200, 10, 200]}
    labels = {half: np.repeat(np.arange(4), n) for half, n in counts.items()}
    images = data.images(data.images_from(*in_halves(1240, 610, **labels)), "ci")
    assert sorted(torch.bincount(images.train_y).tolist()) == [40, 157, 157, 158]
    assert sorted(torch.bincount(images.test_y).tolist()) == [10, 82, 82, 82]
    assert len({*images.train_y[:4].tolist()}) == 4  # a measurement of some has all, too


@pytest.mark.parametrize("name", ["My letters", "图片", "9 Äpfel"])
def test_a_run_trains_on_a_users_images_keyed_by_their_content(name, tmp_path, capsys):
    """Of 14 classes, one of which has no image for training, and of one dark channel."""
    x = np.random.default_rng(0).integers(0, 256, (600, 32, 32, 3), dtype=np.uint8)
    x[..., 2] = 0
    arrays = {"train_x": x, "train_y": np.arange(600) % 13}
    arrays |= {"test_x": x, "test_y": np.arange(600) % 14}
    np.savez(tmp_path / f"{name}.npz", **arrays)
    own = data.images_from(tmp_path / f"{name}.npz")
    assert "[13] have none to train on" in capsys.readouterr().err
    np.savez(tmp_path / "other.npz", **arrays | {"train_x": x + 1})
    assert data.images_from(tmp_path / "other.npz", name=name) != own
    assert not data.images(own, "ci").normal(data.images(own, "ci").train_x)[:, 2].any()
    result = cplab.run(deficit="permute", length=1, recovery=1, profile="ci", dataset=own)
    assert (result.spec.dataset, result.copy, data.classes(own)) == (own, own, 14)
    assert cplab.find(result.spec).accuracy == result.accuracy > 0
    one_line(lambda: cplab.results.ship([result], "letters"), "images that others do not have")


@pytest.mark.parametrize("halves", [("",), ("train", "test"), ("Train", "TEST", "val")])
def test_a_folder_of_pictures_is_cut_to_squares_of_32_pixels(tmp_path, halves, capsys):
    home = pictures(tmp_path / "pets", halves=halves)
    (home / halves[0] / ".checkpoints").mkdir()  # neither it nor an empty folder is a class
    (home / halves[0] / "a").mkdir()
    (home / halves[0] / "cat" / ".DS_Store").write_text("no picture")
    name = data.images_from(home)
    assert ("val is left out" in capsys.readouterr().err) == ("val" in halves)
    arrays, _ = data.load_arrays(name)
    count = {"train": 8, "test": 2} if halves == ("",) else {"train": 10, "test": 10}
    for half, many in count.items():
        assert arrays[f"{half}_x"].shape == (many, 32, 32, 3)
        assert arrays[f"{half}_x"][:, 0, 0, 1].tolist() == (200 * arrays[f"{half}_y"]).tolist()
    assert data.classes(name) == 2


def test_a_picture_stands_as_its_camera_was_held(tmp_path):
    """Of four squares: black, white, a middle grey, a darker one."""
    squares = np.array([[0, 255], [128, 64]], np.uint8).repeat(16, 0).repeat(16, 1)
    upside_down = Image.Exif()
    upside_down[274] = 3
    Image.fromarray(squares).rotate(180).save(tmp_path / "turned.png", exif=upside_down)
    seen = np.asarray(data.read_picture(tmp_path / "turned.png"))
    assert np.array_equal(seen, squares[..., None].repeat(3, 2))


def test_images_that_do_not_fit_are_refused_in_one_line(tmp_path):
    pictures(tmp_path / "few", count=4)
    pictures(tmp_path / "val", halves=("train", "val"))
    pictures(tmp_path / "apart", halves=("train", "test"))
    pictures(tmp_path / "apart" / "test", ("cow", "cat"))
    cut = pictures(tmp_path / "cut") / "cat" / "2.png"
    cut.write_bytes(cut.read_bytes()[:60])
    refused = {"cut": cut, "none.npz": "none.npz", "few": "5 pictures", "apart": "cow"}
    refused |= {"val": "two halves train and test"}
    for name, word in refused.items():
        one_line(lambda name=name: data.images_from(tmp_path / name), word)
    half = SimpleNamespace(data=digits()["train_x"] / 99.0, targets=[0] * 300)
    one_line(lambda: data.images_from(half, half), "float64 from 0 to")
    one_line(lambda: data.images_from(half), "test half")
    many = data.images_from(*in_halves(300, 300, train=np.arange(300)))
    one_line(lambda: data.images(many, "ci"), "256", "300 classes", "larger profile")


def shrunk(x, size):
    """uint8 (N, 32, 32, C): the mean of each block of pixels, halves to even."""
    n, step = len(x), 32 // size
    blocks = x.astype(np.float64).reshape(n, size, step, size, step, x.shape[-1])
    return np.rint(blocks.mean((2, 4))).astype(np.uint8)


@pytest.mark.parametrize(("profile", "size"), [("fit", 16), ("ci", 8)])
@pytest.mark.usefixtures("small_mnist")
def test_images_are_padded_with_zeros_to_32_shrunk_to_the_means_of_blocks_and_normalised(
    profile, size
):
    x = np.pad(digits()["train_x"], ((0, 0), (2, 2), (2, 2)))[..., None]
    assert np.array_equal(data.images("mnist", profile).train_x, shrunk(x, size))
    images, colour = data.images("practice", profile), data.practice()["test_x"]
    assert np.array_equal(images.test_x, shrunk(colour[: PROFILES[profile].test_images], size))
    pixels, x = images.train_x.numpy().astype(float), images.normal(images.test_x)
    expected = (images.test_x.numpy() - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))
    assert x.dtype == torch.float32
    assert np.allclose(x.permute(0, 2, 3, 1), expected, atol=1e-3)


def test_images_are_ones_own_and_parts_of_a_set_are_disjoint():
    labels = torch.as_tensor(data.practice()["train_y"]).long()
    first, second = (data.images(name, "ci") for name in ("practice", "practice-part2"))
    assert torch.equal(first.train_y, labels[:512])
    assert torch.equal(second.train_y, labels[512:1024])
    assert torch.equal(first.test_x, second.test_x)
    first.test_x[:] = 0  # which changes nobody else's
    assert torch.equal(data.images("practice", "ci").test_x, second.test_x)
    one_line(lambda: data.images("practice-part9", "paper"), "take an earlier part")


def test_drawn_digits_are_all_different_and_each_seed_trains_on_its_own():
    arrays = data.load_arrays("drawn")[0]
    images = np.concatenate([arrays["train_x"], arrays["test_x"]])
    assert np.array_equal(images[:99], draw(99, "train")[0])
    assert len({image.tobytes() for image in images}) == len(images)
    few = data.own_images("drawn", "tiny", 0, 300), data.own_images("drawn", "tiny", 1, 300)
    assert few[0].train_x.shape == (300, 12, 12, 1)
    assert not torch.equal(few[0].train_x, few[1].train_x)
    assert torch.equal(few[0].test_x, few[1].test_x)
    one_line(lambda: data.own_images("drawn", "tiny", 0, 10_000), "6000", "10000")
