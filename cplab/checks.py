"""Another name of cplab.errors, for a while."""

from cplab.errors import *  # noqa: F403
from cplab.errors import lock_file as lock_file
