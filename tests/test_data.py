"""Images: where they are looked for, what is refused, padding and shrinking, the practice set."""

import gzip
import os
import shutil
import threading
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import digits

from cplab import data
from cplab.experiment import PROFILES, CplabError

# Where images are looked for ---------------------------------------------------------------------


def filled_with(value):
    """Arrays of a set whose every pixel is `value`, to tell where they came from."""
    arrays = digits(20, 10)
    return arrays | {part: np.full_like(arrays[part], value) for part in ("train_x", "test_x")}


def write_npz(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **filled_with(value))


def write_debian(folder, value):
    """The four IDX files of Debian's package."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = filled_with(value)
    for split, stem in (("train", "train"), ("test", "t10k")):
        x, y = arrays[f"{split}_x"], arrays[f"{split}_y"]
        for name, header, array in (
            ("images-idx3", np.array([2051, len(x), 28, 28], ">i4"), x),
            ("labels-idx1", np.array([2049, len(y)], ">i4"), y),
        ):
            with gzip.open(folder / f"{stem}-{name}-ubyte.gz", "wb") as file:
                file.write(header.tobytes() + array.tobytes())


@pytest.fixture
def places(tmp_path, own_cache, monkeypatch):
    """$CPLAB_DATA, the cache, Debian's folder and the network, by name: a function for each that
    puts Fashion-MNIST there with pixels of its rank, 1 to 4."""
    monkeypatch.setenv("CPLAB_DATA", str(tmp_path / "given"))
    monkeypatch.setattr(data, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(data, "download", refuse_download)
    return {
        "given": lambda: write_npz(tmp_path / "given" / "fashion_mnist.npz", 1),
        "cache": lambda: write_npz(own_cache / "data" / "fashion_mnist.npz", 2),
        "debian": lambda: write_debian(tmp_path / "debian", 3),
        "network": lambda: monkeypatch.setattr(data, "download", lambda *_: filled_with(4)),
    }


def refuse_download(kind, folder):
    raise AssertionError("the network was asked")


@pytest.mark.parametrize(
    ("there", "first"),
    [
        (("given", "cache", "debian", "network"), 1),
        (("cache", "debian", "network"), 2),
        (("debian", "network"), 3),
        (("network",), 4),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_the_first_place_that_has_the_set_is_read(places, there, first):
    for place in there:
        places[place]()
    arrays, _ = data.find("fashion_mnist")
    expected = filled_with(first)
    assert sorted(arrays) == sorted(expected)
    for part, array in expected.items():
        assert np.array_equal(arrays[part], array), part


@pytest.mark.parametrize("place", ["given", "cache", "debian"])
def test_a_set_is_at_hand_where_it_can_be_read_without_the_network(places, place):
    assert not data.at_hand("fashion_mnist")
    places[place]()
    assert data.at_hand("fashion_mnist")
    assert not data.at_hand("cifar10")


def test_practice_is_always_at_hand():
    assert data.at_hand("practice")
    assert data.find("practice")[1] == "practice"


def test_debian_has_fashion_mnist_alone(places):
    places["debian"]()
    with pytest.raises(AssertionError, match="network"):
        data.find("mnist")


# Fetching ----------------------------------------------------------------------------------------


def test_a_fetched_set_is_fetched_once_and_named_an_original(monkeypatch, own_cache, capsys):
    fetched = []
    monkeypatch.setattr(data, "download", lambda kind, _: fetched.append(kind) or digits())
    for _ in range(2):
        arrays, copy = data.find("mnist")
    assert fetched == ["MNIST"]
    assert copy == "mnist-original"
    assert np.array_equal(arrays["train_x"], digits()["train_x"])
    assert [path.name for path in (own_cache / "data").glob("*.npz")] == ["mnist.npz"]
    said = capsys.readouterr().err
    assert "12 MB" in said  # the size, before the wait
    assert str(own_cache) in said


def test_two_that_fetch_at_once_fetch_once(monkeypatch):
    fetched = []

    def slow_download(kind, folder):
        fetched.append(kind)
        time.sleep(0.3)
        return digits()

    monkeypatch.setattr(data, "download", slow_download)
    threads = [threading.Thread(target=data.find, args=("mnist",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == ["MNIST"]


@pytest.mark.parametrize("dataset", ["cifar10", "mnist", "fashion_mnist"])
def test_torchvision_is_asked_for_both_halves_and_its_raw_files_are_removed(
    dataset, monkeypatch, tmp_path
):
    from torchvision import datasets

    kind, _ = data.DOWNLOADS[dataset]
    assert hasattr(datasets, kind)

    def half(root, *, train, download):
        assert download
        root.mkdir(exist_ok=True)
        (root / "raw.tar").touch()
        half = "train" if train else "test"
        return SimpleNamespace(data=digits()[f"{half}_x"], targets=digits()[f"{half}_y"].tolist())

    monkeypatch.setattr(datasets, kind, half)
    arrays = data.download(kind, tmp_path / "raw")
    for part, array in digits().items():
        assert np.array_equal(arrays[part], array), part
        assert arrays[part].dtype == np.uint8, part
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("dataset", ["cifar10", "mnist", "fashion_mnist"])
def test_without_a_network_one_line_says_three_ways_out(dataset, monkeypatch, own_cache):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(data, "DEBIAN", own_cache / "none")
    with pytest.raises(CplabError) as error:
        data.images(dataset, "ci")
    assert_says(error, dataset, f"cplab data fetch {dataset}", "$CPLAB_DATA", "--dataset practice")
    assert not [*(own_cache / "data").glob("*.npz")]


def test_a_download_that_breaks_off_leaves_nothing_that_could_be_taken_for_data(
    monkeypatch, own_cache
):
    monkeypatch.setattr(data, "download", lambda *_: digits())
    monkeypatch.setattr(np, "savez", break_off)
    with pytest.raises(CplabError, match="No space left"):
        data.find("mnist")
    assert not data.at_hand("mnist")


def break_off(path, **arrays):
    path.write_bytes(b"PK\x03\x04 and no more")
    raise OSError("No space left on device")


def test_an_unknown_set_or_profile_is_refused():
    with pytest.raises(CplabError) as error:
        data.images("cifar100", "ci")
    assert_says(error, "'cifar100'", "cifar10", "mnist", "fashion_mnist", "practice")
    with pytest.raises(CplabError) as error:
        data.images("mnist", "tiny")
    assert_says(error, "'tiny'", "ci", "course", "colab", "paper")


# Damaged files -----------------------------------------------------------------------------------


def assert_refused(path):
    with pytest.raises(CplabError) as error:
        data.images("mnist", "ci")
    assert_says(error, str(path), "remove it", "cplab data fetch mnist", "$CPLAB_DATA")


@pytest.mark.parametrize("part", [0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(small_mnist, part):
    os.truncate(small_mnist, int(part * small_mnist.stat().st_size))
    assert_refused(small_mnist)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_changed_byte_is_noticed(small_mnist, save):
    save(small_mnist, **digits())
    content = bytearray(small_mnist.read_bytes())
    content[len(content) // 2] ^= 0x55
    small_mnist.write_bytes(content)
    assert_refused(small_mnist)


@pytest.mark.parametrize(
    "change",
    [
        {"train_x": np.zeros((300, 28, 28), np.float32)},
        {"test_x": np.zeros((120, 28, 28), np.int64)},
        {"train_x": np.zeros((300, 30, 30), np.uint8)},
        {"train_x": np.zeros((300, 28, 28, 3), np.uint8)},
        {"train_x": np.zeros((299, 28, 28), np.uint8)},
        {"test_y": np.zeros(119, np.uint8)},
        {"test_x": np.zeros((120, 32, 32, 3), np.uint8)},
        {"train_y": np.full(300, 10, np.uint8)},
        {"test_y": np.full(120, -1)},
        {"train_y": np.zeros(300)},
        {"train_y": np.zeros((300, 1), np.uint8)},
        {"train_x": np.zeros((0, 28, 28), np.uint8), "train_y": np.zeros(0, np.uint8)},
        {"test_y": np.array([None] * 120)},
    ],
    ids=lambda change: " ".join(f"{k} {v.dtype}{[*v.shape]}" for k, v in change.items()),
)
def test_arrays_that_are_no_labelled_images_are_refused(small_mnist, change):
    np.savez(small_mnist, **{**digits(), **change})
    assert_refused(small_mnist)


def test_a_file_of_another_kind_is_refused(small_mnist):
    with small_mnist.open("wb") as file:
        np.save(file, digits()["train_x"])
    assert_refused(small_mnist)
    small_mnist.write_text("<html>404</html>")
    assert_refused(small_mnist)
    small_mnist.unlink()
    small_mnist.mkdir()
    assert_refused(small_mnist)


@pytest.mark.parametrize("part", ["train_x", "train_y", "test_x", "test_y"])
def test_a_file_without_one_of_its_parts_is_refused(small_mnist, part):
    np.savez(small_mnist, **{name: array for name, array in digits().items() if name != part})
    assert_refused(small_mnist)


@pytest.mark.parametrize("damage", ["truncated", "missing", "of another kind"])
def test_a_damaged_debian_package_is_refused(places, tmp_path, damage):
    places["debian"]()
    path = tmp_path / "debian" / "t10k-labels-idx1-ubyte.gz"
    if damage == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    elif damage == "missing":
        path.unlink()
    else:
        shutil.copy(path.with_name("t10k-images-idx3-ubyte.gz"), path)
    with pytest.raises(CplabError) as error:
        data.images("fashion_mnist", "ci")
    assert_says(error, str(path.parent), "$CPLAB_DATA")


# Copies ------------------------------------------------------------------------------------------


def test_a_copy_is_named_by_its_images_where_the_file_does_not_say(small_mnist):
    names = []
    for seed in (0, 0, 1):
        np.savez(small_mnist, **digits(seed=seed))
        names.append(data.find("mnist")[1])
    assert names[0] == names[1] != names[2]
    assert all(name.startswith("mnist-") and len(name) == 18 for name in names)


def test_a_copy_has_the_name_that_its_file_says(small_mnist):
    assert data.find("mnist")[1] == "small"
    assert data.images("mnist", "ci").copy == "small"


def test_a_known_copy_is_recognised(small_mnist, monkeypatch):
    np.savez(small_mnist, **digits())
    digest = data.find("mnist")[1].removeprefix("mnist-")
    monkeypatch.setitem(data.KNOWN_COPIES, digest, "mnist-jpeg")
    assert data.find("mnist")[1] == "mnist-jpeg"


# Padding and shrinking ---------------------------------------------------------------------------


def shrunk(x, size):
    """uint8 (N, 32, 32, C): the mean of each block of pixels, halves to even."""
    n, step = len(x), 32 // size
    blocks = x.astype(np.float64).reshape(n, size, step, size, step, x.shape[-1])
    return np.rint(blocks.mean((2, 4))).astype(np.uint8)


def test_28_pixels_are_padded_with_zeros_to_32(small_mnist):
    x = data.images("mnist", "paper").train_x.numpy()
    assert np.array_equal(x[:, 2:30, 2:30, 0], digits()["train_x"])
    assert x.sum(dtype=int) == digits()["train_x"].sum(dtype=int)
    assert x.shape == (300, 32, 32, 1)


@pytest.mark.parametrize(("profile", "size"), [("colab", 32), ("course", 16), ("ci", 8)])
def test_images_are_shrunk_to_the_means_of_blocks(small_mnist, profile, size):
    x = np.pad(digits()["train_x"], ((0, 0), (2, 2), (2, 2)))[..., None]
    assert np.array_equal(data.images("mnist", profile).train_x, shrunk(x, size))
    colour = data.practice()["test_x"]
    count = PROFILES[profile].test_images
    assert np.array_equal(data.images("practice", profile).test_x, shrunk(colour[:count], size))


def test_a_profile_takes_the_first_images_of_the_set():
    images = data.images("practice", "ci")
    assert len(images.train_x) == len(images.train_y) == 512
    assert len(images.test_x) == len(images.test_y) == 256
    assert np.array_equal(images.train_y, data.practice()["train_y"][:512])
    assert np.array_equal(images.test_y, data.practice()["test_y"][:256])
    assert images.train_y.dtype == torch.int64


def test_a_profile_that_wants_more_images_than_there_are_takes_all(small_mnist):
    assert len(data.images("mnist", "course").train_x) == 300


def test_normal_images_have_mean_0_and_deviation_1(small_mnist):
    images = data.images("practice", "ci")
    x = images.normal(images.train_x)
    assert x.dtype == torch.float32
    assert x.shape == (512, 3, 8, 8)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.mean((0, 2, 3)).abs().max() < 1e-4
    assert (x.std((0, 2, 3)) - 1).abs().max() < 1e-3
    pixels = images.train_x.numpy().astype(float)
    expected = (images.test_x.numpy() - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))
    got = images.normal(images.test_x).permute(0, 2, 3, 1).numpy()
    assert np.allclose(got, expected, atol=1e-3)


def test_mean_and_deviation_do_not_depend_on_the_test_images(small_mnist):
    before = data.images("mnist", "ci")
    np.savez(small_mnist, **{**digits(), "test_x": np.full((120, 28, 28), 255, np.uint8)})
    data._images.cache_clear()
    after = data.images("mnist", "ci")
    assert not torch.equal(before.test_x, after.test_x)
    assert torch.equal(before.mean, after.mean)
    assert torch.equal(before.std, after.std)


# The practice set --------------------------------------------------------------------------------


def test_practice_is_made_of_its_seed():
    make = data.practice.__wrapped__
    one, same, other = make(600, 0), make(600, 0), make(600, 1)
    for part in data.ARRAYS:
        assert np.array_equal(one[part], same[part])
        assert not np.array_equal(one[part], other[part])


def test_practice_is_made_in_seconds():
    began = time.process_time()
    data.practice.__wrapped__(1_200)
    assert time.process_time() - began < 1  # about 0.15: a tenth of what the whole set takes


def test_practice_has_ten_balanced_classes_and_no_image_twice():
    arrays = data.practice()
    assert arrays["train_x"].shape == (10_000, 32, 32, 3)
    assert arrays["test_x"].shape == (2_000, 32, 32, 3)
    for split, count in (("train", 10_000), ("test", 2_000)):
        counts = np.bincount(arrays[f"{split}_y"], minlength=10)
        assert counts.sum() == count
        assert len(counts) == 10
        assert abs(counts - count / 10).max() < 4.5 * (count * 0.1 * 0.9) ** 0.5
    images = [x.tobytes() for part in ("train_x", "test_x") for x in arrays[part]]
    assert len(set(images)) == len(images)


# Real images -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "shape", "counts", "mean", "std"),
    [
        (
            "cifar10",
            (50_000, 32, 32, 3),
            ([5_000] * 10, [1_000] * 10),
            (0.4914, 0.4822, 0.4465),
            (0.2470, 0.2435, 0.2616),
        ),
        (
            "mnist",
            (60_000, 28, 28),
            (
                [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
                [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
            ),
            (0.1307,),
            (0.3081,),
        ),
        ("fashion_mnist", (60_000, 28, 28), ([6_000] * 10, [1_000] * 10), (0.2860,), (0.3530,)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_real_images_are_what_their_authors_describe(
    real_data, monkeypatch, dataset, shape, counts, mean, std
):
    real_data(dataset)
    arrays, copy = data.find(dataset)
    assert arrays["train_x"].shape == shape
    assert arrays["test_x"].shape == (10_000, *shape[1:])
    for split, expected in zip(("train", "test"), counts, strict=True):
        assert np.bincount(arrays[f"{split}_y"]).tolist() == expected
    pixels = arrays["train_x"].reshape(*shape[:3], -1)
    frequencies = np.stack([np.bincount(c.ravel(), minlength=256) for c in pixels.T])
    share, level = frequencies / frequencies[0].sum(), np.arange(256) / 255
    middle = share @ level
    deviation = np.sqrt(share @ level**2 - middle**2)
    assert middle == pytest.approx(mean, abs=0.003)
    assert deviation == pytest.approx(std, abs=0.003)
    if dataset == "cifar10":  # compression takes a little of the contrast
        assert (copy == "cifar10-jpeg") == (round(deviation[0], 4) == 0.2452)

    monkeypatch.setattr(data, "find", lambda _: (arrays, copy))
    images = data.images(dataset, "course")
    assert images.train_x.shape == images.test_x.shape == (10_000, 16, 16, len(mean))
    assert images.copy == copy
    assert images.copy.startswith(dataset)


def assert_says(error, *words):
    line = str(error.value)
    assert "\n" not in line
    missing = [word for word in words if word not in line]
    assert not missing, f"{line!r} does not say {missing}"
