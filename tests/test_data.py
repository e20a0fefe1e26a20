"""Images: where they are looked for, what is refused, one's own, padding and shrinking."""

import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from conftest import digits, forget_lookups, one_line
from PIL import Image

import cplab
from cplab.base import files
from cplab.pictures import data, datasets
from cplab.pictures.digits import draw
from cplab.pictures.practice import practice
from cplab.specs.profiles import PROFILES
from reproduction import shipping

# Where a set is -----------------------------------------------------------------------------------


def fill(folder, value):
    """Write a set whose every pixel is `value`, to tell where it came from."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = digits(20, 10)
    for name in ("train_x", "test_x"):
        arrays[name][:] = value
    np.savez(folder / "mnist.npz", **arrays)
    forget_lookups()


def pixels_of_mnist():
    """The values that its pixels have."""
    arrays, _ = datasets.load_arrays("mnist")
    return {*arrays.train_x.flat}


@pytest.fixture
def torchvision():
    """Loaded where it is used alone: it loads torch's compiler, for two seconds."""
    import torchvision

    return torchvision


@pytest.fixture
def downloads(torchvision, monkeypatch):
    """What is downloaded by torchvision, a stand-in that has the small digits as MNIST."""
    done = []

    def mnist(root, train, download):
        half = "train" if train else "test"
        done.append(half)
        return SimpleNamespace(data=digits()[f"{half}_x"], targets=digits()[f"{half}_y"])

    monkeypatch.setattr(torchvision.datasets, "MNIST", mnist)
    monkeypatch.setattr(datasets, "ROOTS", ())
    return done


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """$CPLAB_DATA, written as in a shell's start-up file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CPLAB_DATA", '"~/folder"')
    return folder


def test_a_set_is_fetched_once_by_all_who_want_it_and_its_size_is_said(downloads, capsys):
    assert not datasets.is_here("mnist")
    with ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(datasets.load_arrays, "mnist") for _ in range(3)]
    copies = [load.result()[1] for load in loads]
    assert copies == 3 * ["mnist-original"]
    assert downloads == ["train", "test"]
    assert datasets.is_here("mnist")
    assert datasets.is_here("practice-part2")
    assert "12 MB" in capsys.readouterr().err


def test_the_named_folder_goes_before_the_cache(own_cache, data_folder):
    fill(own_cache / "data", 2)
    assert pixels_of_mnist() == {2}
    fill(data_folder, 1)
    assert pixels_of_mnist() == {1}


def test_a_relative_folder_counts_from_where_python_was_started(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("CPLAB_DATA", "images")
    monkeypatch.chdir(tmp_path)
    files.settle_folders()  # as `import cplab` does
    monkeypatch.chdir("elsewhere")
    assert files.folder_in("CPLAB_DATA") == tmp_path / "images"


def test_a_named_folder_that_is_nowhere_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CPLAB_DATA", str(tmp_path / "nowhere"))
    one_line(lambda: datasets.load_arrays("mnist"), "CPLAB_DATA", "directory")


TORCHVISION = {
    "train_x": "train-images-idx3-ubyte",
    "train_y": "train-labels-idx1-ubyte",
    "test_x": "t10k-images-idx3-ubyte",
    "test_y": "t10k-labels-idx1-ubyte",
}


def test_files_that_torchvision_left_are_read_without_a_download(tmp_path, monkeypatch):
    monkeypatch.setenv("CPLAB_DATA", str(tmp_path))
    monkeypatch.delattr(urllib.request, "urlopen")
    folder = tmp_path / "MNIST/raw"
    folder.mkdir(parents=True)
    for name, array in digits().items():
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
        (folder / TORCHVISION[name]).write_bytes(head + array.astype("u1").tobytes())
    assert datasets.is_here("mnist")
    arrays, copy = datasets.load_arrays("mnist")
    assert copy == "mnist-original"
    for name, expected in digits().items():
        assert np.array_equal(getattr(arrays, name), expected)


# What fails ---------------------------------------------------------------------------------------


def nothing_half_done(folder):
    return not [*folder.rglob("*partial*"), *folder.rglob("*.npz")]


def test_a_download_that_fails_says_why_and_ways_out(monkeypatch, own_cache):
    why = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer"
    unreachable = urllib.error.URLError(why)
    monkeypatch.setattr(urllib.request, "urlopen", Mock(side_effect=unreachable))
    monkeypatch.setattr(datasets, "ROOTS", ())
    ways_out = (why, "$SSL_CERT_FILE", "cplab data fetch cifar10", "$CPLAB_DATA", "`drawn`")
    one_line(lambda: data.images("cifar10", "ci"), *ways_out)
    assert nothing_half_done(own_cache)


def change_a_byte(path):
    path.write_bytes(path.read_bytes().replace(b"\x64", b"\x65"))


def cut_off(path):
    path.write_bytes(path.read_bytes()[:1000])


def label_a_thousand(path):
    np.savez(path, **digits() | {"train_y": np.full(300, 1000)})


def enlarge(path):
    np.savez(path, **digits() | {"train_x": np.zeros((300, 64, 64), np.uint8)})


@pytest.mark.parametrize("damage", [change_a_byte, cut_off, label_a_thousand, enlarge])
def test_a_damaged_file_is_refused(damage, small_mnist):
    damage(small_mnist)
    one_line(lambda: data.images("mnist", "ci"), small_mnist, "remove it", "$CPLAB_DATA")


# One's own ----------------------------------------------------------------------------------------


def half_of_digits(half, labels):
    """A half of some digits, with other labels (N,)."""
    arrays = digits(len(labels), len(labels))
    return arrays[f"{half}_x"], labels


@pytest.fixture
def uneven():
    """The images of a profile of a set that is sorted by class, of which one is rare."""
    train = half_of_digits("train", np.repeat(np.arange(4), [400, 400, 40, 400]))
    test = half_of_digits("test", np.repeat(np.arange(4), [200, 200, 10, 200]))
    return data.images(cplab.images_from(train, test), "ci")


def test_a_profiles_images_are_drawn_evenly_from_all_classes(uneven):
    """The first ones too, so that a measurement of some has all classes."""
    assert sorted(torch.bincount(uneven.train_y).tolist()) == [40, 157, 157, 158]
    assert sorted(torch.bincount(uneven.test_y).tolist()) == [10, 82, 82, 82]
    assert {*uneven.train_y[:4].tolist()} == {0, 1, 2, 3}


def colours(count=600, classes=14):
    """Images in colour, whose last channel is dark, and their labels."""
    x = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    x[..., 2] = 0
    return x, np.arange(count) % classes


@pytest.fixture
def letters():
    """The name of a user's images."""
    return cplab.images_from(colours(), colours(), name="letters")


def test_other_images_of_the_same_name_are_another_set(letters):
    x, y = colours()
    other = cplab.images_from((x + 1, y), (x, y), name="letters")
    assert other.partition("@")[0] == letters.partition("@")[0] == "letters"
    assert other != letters


def test_a_dark_channel_stays_dark(letters):
    images = data.images(letters, "ci")
    assert not images.normal(images.train_x)[:, 2].any()


def train_on(dataset, profile="ci"):
    return cplab.run(deficit="permute", length=1, recovery=1, profile=profile, dataset=dataset)


@pytest.mark.parametrize("name", ["图片", "9 Äpfel"])
def test_a_run_trains_on_a_users_images_whatever_they_are_called(name):
    dataset = cplab.images_from(colours(), colours(), name=name)
    result = train_on(dataset)
    assert (result.spec.dataset, result.copy) == (dataset, dataset)
    assert cplab.find(result.spec).accuracy == result.accuracy > 0


@pytest.mark.parametrize("profile", ["ci", "tiny"])  # all seeds share images, or each draws its own
def test_a_profile_takes_as_many_images_as_there_are(profile):
    few = cplab.images_from(colours(20, 4), colours(20, 4))
    assert train_on(few, profile).accuracy > 0


def test_results_on_a_users_images_are_not_shipped(letters):
    result = train_on(letters)
    one_line(lambda: shipping.ship([result], "letters"), "images that others do not have")


GREY = digits()["train_x"][:20]
COLOUR, LABELS = colours(20, 4)
FORMS = {
    "grey with a channel": (GREY[..., None], GREY),
    "fractions": (GREY / 255, GREY),
    "whole floats": (GREY.astype(float), GREY),
    "grey tensors": (torch.tensor(GREY / 255, dtype=torch.float32)[:, None], GREY),
    "tensors": (torch.tensor(COLOUR).permute(0, 3, 1, 2), COLOUR),
    "arrays in torch's order": (COLOUR.transpose(0, 3, 1, 2), COLOUR),
    "a list": ([*COLOUR], COLOUR),
}


def of_pair(x, y=LABELS):
    return cplab.images_from((x, y), (x, y), name="own")


LABEL_FORMS = {
    "a tensor": torch.tensor(LABELS),
    "with gaps": LABELS * 2 + 1,
    "texts": [*"abcd"] * 5,
}


def test_images_and_labels_of_another_form_are_the_same_set():
    for form, (other, usual) in FORMS.items():
        assert of_pair(other) == of_pair(usual), form
    for form, labels in LABEL_FORMS.items():
        assert of_pair(GREY, labels) == of_pair(GREY), form


@pytest.fixture
def pets(tmp_path):
    """A folder of pictures for each of two classes: the second colour tells the class."""
    for label, kind in enumerate(("cat", "dog")):
        folder = tmp_path / "pets" / kind
        folder.mkdir(parents=True)
        for number in range(5):
            picture = Image.new("RGB", (40, 50), (5 * number, 200 * label, 50))
            picture.save(folder / f"{number}.png")
    return folder.parent


def test_folders_of_pictures_and_parts_of_them_are_read_by_torchvision(pets, torchvision):
    square = [torchvision.transforms.Resize(32), torchvision.transforms.CenterCrop(32)]
    for last in ([], [torchvision.transforms.ToTensor()]):
        transform = torchvision.transforms.Compose(square + last)
        half = torchvision.datasets.ImageFolder(pets, transform)
        arrays, _ = datasets.load_arrays(cplab.images_from(half, half))
        for x, y in ((arrays.train_x, arrays.train_y), (arrays.test_x, arrays.test_y)):
            assert x.shape == (10, 32, 32, 3)
            assert y.tolist() == [0] * 5 + [1] * 5
            assert x[:, 0, 0, 1].tolist() == [0] * 5 + [200] * 5
    train, test = torch.utils.data.random_split(half, [8, 2])
    arrays, _ = datasets.load_arrays(cplab.images_from(train, test))
    assert (len(arrays.train_y), len(arrays.test_y)) == (8, 2)


REFUSED = {
    "pictures of another size": (np.zeros((20, 40, 50, 3), np.uint8), LABELS, "Resize(32)"),
    "normalised": (GREY / 50 - 2, LABELS, "from -2", "without Normalize"),
    "a label too few": (GREY, LABELS[1:], "19 labels of 20 images"),
    "none": (GREY[:0], LABELS[:0], "0 labels"),
}


def test_what_are_no_images_is_refused_with_a_remedy(pets):
    for x, y, *words in REFUSED.values():
        one_line(lambda x=x, y=y: of_pair(x, y), *words)
    one_line(lambda: cplab.images_from(pets, pets), "ImageFolder")


# What a profile makes of them ---------------------------------------------------------------------


def shrunk(x, size):
    """uint8 (N, 32, 32, C): the mean of each block of pixels, halves to even."""
    count, _, _, channels = x.shape
    step = 32 // size
    blocks = x.astype(float).reshape(count, size, step, size, step, channels)
    return np.rint(blocks.mean((2, 4))).astype(np.uint8)


@pytest.fixture(params=["fit", "ci"])
def profile(request):
    return request.param


@pytest.mark.usefixtures("small_mnist")
def test_small_images_are_padded_with_zeros_to_32_pixels(profile):
    padded = np.pad(digits()["train_x"], ((0, 0), (2, 2), (2, 2)))[..., None]
    images = data.images("mnist", profile)
    assert np.array_equal(images.train_x, shrunk(padded, PROFILES[profile].size))


def test_images_are_shrunk_to_the_means_of_blocks(profile):
    whole = practice().test_x[: PROFILES[profile].test_images]
    images = data.images("practice", profile)
    assert np.array_equal(images.test_x, shrunk(whole, PROFILES[profile].size))


def test_images_are_normalised_by_the_pixels_of_training(profile):
    images = data.images("practice", profile)
    pixels = images.train_x.numpy().astype(float)
    expected = (images.test_x.numpy() - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))
    normal = images.normal(images.test_x)
    assert normal.dtype == torch.float32
    assert np.allclose(normal.permute(0, 2, 3, 1), expected, atol=1e-3)


def test_parts_of_a_set_follow_each_other_and_are_tested_alike():
    labels = torch.as_tensor(practice().train_y).long()
    first = data.images("practice", "ci")
    second = data.images("practice-part2", "ci")
    assert torch.equal(first.train_y, labels[:512])
    assert torch.equal(second.train_y, labels[512:1024])
    assert torch.equal(first.test_x, second.test_x)
    one_line(lambda: data.images("practice-part9", "paper"), "take an earlier part")


def test_changing_one_copy_of_the_images_changes_no_other():
    images = data.images("practice", "ci")
    before = images.test_x.clone()
    images.test_x[:] = 0
    assert torch.equal(data.images("practice", "ci").test_x, before)


# Drawn digits -------------------------------------------------------------------------------------


def test_drawn_digits_are_all_different_and_begin_with_the_first_that_are_drawn():
    arrays, _ = datasets.load_arrays("drawn")
    drawn = np.concatenate([arrays.train_x, arrays.test_x])
    first, *_ = draw(99, "train")
    assert np.array_equal(drawn[:99], first)
    assert len({image.tobytes() for image in drawn}) == len(drawn)


def test_each_seed_trains_on_drawn_digits_of_its_own_and_all_are_tested_on_the_same():
    first, second = (data.images_of_seed("drawn", "tiny", seed, 300) for seed in (0, 1))
    assert first.train_x.shape == (300, 12, 12, 1)
    assert not torch.equal(first.train_x, second.train_x)
    assert torch.equal(first.test_x, second.test_x)
    one_line(lambda: data.images_of_seed("drawn", "tiny", 0, 10_000), "6000", "10000")


# Other images of one's own ------------------------------------------------------------------------


def with_other_images(count, **fields):
    """A run on so many images of one's own that goes on with as many others."""
    random = np.random.default_rng(count)
    x = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    y = np.arange(count) % 10
    own = cplab.images_from((x, y), (x[:50], y[:50]))
    return cplab.Run("blur", 0, 1, 1, dataset=own, treatments="other@1", **fields)


@pytest.mark.parametrize("fields", [{"profile": "ci"}, {"profile": "tiny", "images": 512}])
def test_one_s_own_images_have_other_ones_if_they_are_twice_as_many(fields):
    run = with_other_images(1024, **fields)
    images, other = (run.task.images(torch.device("cpu"), part) for part in (1, 2))
    drawn = torch.cat([images.train_x, other.train_x]).flatten(1)
    assert len(drawn.unique(dim=0)) == 1024
    assert cplab.run(run).accuracy >= 0


@pytest.mark.parametrize("profile", ["ci", "tiny"])
@pytest.mark.parametrize("count", [200, 400])
def test_else_it_is_said_before_anything_is_trained(profile, count, epochs_trained):
    run = with_other_images(count, profile=profile)
    one_line(lambda: cplab.run(run), "other images", ": ")
    assert epochs_trained == []


# Few images ---------------------------------------------------------------------------------------


@pytest.fixture
def many_photographs(tmp_path, monkeypatch):
    """$CPLAB_DATA with random pictures as cifar10.npz, enough for `small`."""
    random = np.random.default_rng(0)
    arrays = {"copy": "random"}
    for split, count in (("train", 4100), ("test", 2100)):
        arrays[f"{split}_x"] = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        arrays[f"{split}_y"] = np.arange(count, dtype=np.uint8) % 10
    np.savez(tmp_path / "cifar10.npz", **arrays)
    monkeypatch.setenv("CPLAB_DATA", str(tmp_path))
    forget_lookups()
    data.shared_images.cache_clear()
    yield tmp_path
    data.shared_images.cache_clear()


def test_few_images_are_kept_and_serve_without_the_whole_set(
    many_photographs, own_cache, tmp_path_factory, monkeypatch
):
    """As on a machine to which the small file alone was carried. Bit by bit the same."""
    whole = data.images("cifar10", "small")
    stick = tmp_path_factory.mktemp("stick")
    [kept] = own_cache.rglob("cifar10-small.npz")
    kept.rename(stick / kept.name)
    monkeypatch.setenv("CPLAB_DATA", str(stick))
    data.shared_images.cache_clear()
    assert not datasets.is_here("cifar10")
    assert datasets.are_here("cifar10", "small")
    few = data.images("cifar10", "small")
    assert few.copy == whole.copy == "random"
    for name in ("train_x", "train_y", "test_x", "test_y", "mean", "std"):
        assert torch.equal(getattr(few, name), getattr(whole, name))


def test_few_images_of_another_size_are_refused_in_one_line(many_photographs):
    arrays = practice()
    np.savez(many_photographs / "cifar10-small.npz", **arrays._asdict())
    one_line(lambda: data.images("cifar10", "small"), "cifar10-small.npz", "remove it")


def test_a_profile_of_many_images_keeps_none(photographs, own_cache):
    data.images("cifar10", "fit")
    assert not [*own_cache.rglob("*.npz")]
