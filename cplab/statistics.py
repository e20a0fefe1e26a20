"""The former name of `cplab.estimates`, which older copies of labs use."""

from cplab.estimates import *  # noqa: F403
from cplab.estimates import mean_in_words as mean_in_words
from cplab.moved import say_where_names_went

say_where_names_went(__name__)
