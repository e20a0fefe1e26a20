"""Every notebook in labs/ is played to its end where torch is missing."""

import nbformat
import pytest
from plays import LABS, errors, named, player


@pytest.fixture(scope="module")
def play_without_torch(tmp_path_factory):
    with player(tmp_path_factory.mktemp("player"), "--without-torch", "--unpainted") as function:
        yield function


@pytest.fixture(scope="module", params=named(LABS))
def lab(request):
    return nbformat.read(request.param, as_version=4)


@pytest.fixture(scope="module")
def played(lab, play_without_torch, tmp_path_factory):
    """What each cell shows, as on a Mac with an Intel chip, or a small hub, without a network."""
    folder = tmp_path_factory.mktemp("without_torch")
    return play_without_torch(lab, folder, CPLAB_CACHE=str(folder))


def test_a_student_without_torch_comes_to_the_end(played):
    assert errors(played) == {}


def test_a_cell_that_takes_torch_says_what_is_left_out(lab, played):
    shown = {cell["id"]: cell["printed"] for cell in played["cells"]}
    for cell in lab.cells:
        if "with lab.if_possible()" in cell.source and "import torch" in cell.source:
            assert "Left out: torch is not installed" in shown[cell.id]
