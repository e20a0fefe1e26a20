"""Every notebook in labs/ is played to its end where torch is missing."""

import nbformat
import pytest
from plays import LABS, errors, named, player


@pytest.fixture(scope="module")
def play_without_torch(tmp_path_factory):
    with player(tmp_path_factory.mktemp("player"), "--without-torch") as function:
        yield function


@pytest.mark.parametrize("path", named(LABS))
def test_a_student_without_torch_comes_to_the_end(path, play_without_torch, tmp_path):
    """As on a Mac with an Intel chip, or a small hub: what takes torch says so."""
    lab = nbformat.read(path, as_version=4)
    played = play_without_torch(lab, tmp_path, CPLAB_CACHE=str(tmp_path))
    assert errors(played) == {}
