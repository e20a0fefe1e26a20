"""The labs for those who teach: as files, as copies for students and graders, and as pages."""

from cplab.teach.copies import (
    CLONE,
    COURSE,
    copies_of,
    copy_labs,
    folder_of,
    in_course,
    labs,
    pages,
    portable,
)
from cplab.teach.homework import KINDS, build_copies, copy_for

__all__ = [
    "CLONE",
    "COURSE",
    "KINDS",
    "build_copies",
    "copies_of",
    "copy_for",
    "copy_labs",
    "folder_of",
    "in_course",
    "labs",
    "pages",
    "portable",
]
