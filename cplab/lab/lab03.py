"""The former place of `cplab.studies.high_level`."""

from cplab.studies.high_level import *  # noqa: F403
