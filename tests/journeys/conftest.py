"""What several journeys begin with: the pages of lab 00, as `cplab site` writes them."""

import pytest
from filelock import FileLock
from person import command


@pytest.fixture(scope="session")
def site(worker_id, tmp_path_factory):
    """The folder of the site's pages with lab 00. They are written once for all workers."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    with FileLock(folder / "pages.lock"):
        if not (folder / "pages" / "reference.html").exists():
            command(folder, "cplab", "site", "pages", "00_")
    return folder / "pages"


@pytest.fixture
def answers(tmp_path):
    """The teacher's folder, which is empty."""
    folder = tmp_path / "answers"
    folder.mkdir()
    return folder
