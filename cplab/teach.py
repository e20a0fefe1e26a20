"""What a teacher needs: the labs as files.

cplab lab --copy                 # the labs, to change as one likes
"""

import shutil
from pathlib import Path

from cplab.checks import CplabError

CLONE = Path(__file__).parent.parent / "labs"  # in a clone of the repository
INSTALLED = Path(__file__).parent / "labs"  # in what is installed from a wheel


def labs() -> list[Path]:
    """The notebooks of the labs, in their order.

    >>> [path.name[:2] for path in labs()][:2]
    ['01', '02']
    """
    home = CLONE if CLONE.is_dir() else INSTALLED
    return sorted(home.glob("[0-9][0-9]_*.ipynb"))


def copy_labs(folder: Path) -> tuple[int, int]:
    """Copy the labs and their pictures into a folder, never over a file that is there.

    Returns: how many files are new there, and how many were there already.
    Raises: CplabError where they cannot be written.
    """
    home, counts = labs()[0].parent, [0, 0]
    files = [*labs(), *home.glob("pictures/*.*")]
    try:
        for path in files:
            target = folder / path.relative_to(home)
            target.parent.mkdir(parents=True, exist_ok=True)
            there = target.exists()
            counts[there] += 1
            if not there:
                shutil.copyfile(path, target)
    except OSError as error:
        raise CplabError(f"{folder} cannot be written ({error}): go to another folder") from error
    return counts[0], counts[1]
