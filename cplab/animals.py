"""The former place of `cplab.studies.kitten`."""

from cplab.studies.kitten.animals import *  # noqa: F403
