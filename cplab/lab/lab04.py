"""The former place of `cplab.studies.fisher`."""

from cplab.studies.fisher import *  # noqa: F403
