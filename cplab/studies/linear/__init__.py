"""Deep linear networks, whose critical periods can be solved: two eyes, and matrix completion.

>>> from cplab.studies import linear
>>> linear.share(linear.Rearing(depth=2, length=1)).round(3)
array([0.029])
"""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    pathways="Rearing Course grow share half_time",
    descent="descend",
    completion="Completed complete",
    bench="MODES SIGHTS Eyes",
)
