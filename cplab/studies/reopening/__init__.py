"""Lab 09: what is done to a trained network to open it again, and what became of it."""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    paths="LinearPath",
    bench="TreatmentBench gauge_table growth harm_figure norm_ratios norms_at_birth what_is_left",
)
