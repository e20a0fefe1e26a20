"""The former place of `cplab.studies.kitten`."""

from cplab.studies.kitten.figures import *  # noqa: F403
