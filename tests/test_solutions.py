"""Every notebook in labs/ is played with its solutions, at the smallest size and without images."""

import re

import pytest
import torch
from plays import LABS, errors, named, player, set_profile, teachers_copy


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    with player(tmp_path_factory.mktemp("player"), "--unpainted") as function:
        yield function


@pytest.fixture(scope="module", params=named(LABS))
def small(request, play, labs_cache, tmp_path_factory):
    """A lab of the smallest profile, with its solutions, that was played without images."""
    lab = set_profile(teachers_copy(request.param), "ci")
    return play(lab, tmp_path_factory.mktemp("small"), CPLAB_CACHE=labs_cache)


def test_a_small_lab_comes_to_the_end_with_its_solutions(small):
    assert errors(small) == {}


def test_an_output_has_words_of_its_own(small):
    """Also in a PDF: no address in memory, no dump of an object."""
    for cell in small["cells"]:
        for output in cell["outputs"]:
            words = output.get("text/plain", "")  # none of what a page draws by itself
            assert len(words) < 1000 or len(output) > 1
            assert not re.match(r"<[\w.]+ object|\w+\(id='", words)


def test_no_cell_warns(small):
    """Of progress a cell may tell."""
    for cell in small["cells"]:
        assert "Warning" not in cell["warned"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="Binder has no GPU")
def test_it_has_room_on_binder(small):
    """Which has 1 to 2 GB."""
    assert small["peak"] < 1_500_000  # kB
