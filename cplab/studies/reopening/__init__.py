"""Lab 09: treatments that open a trained network again, and what they leave of a harm."""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    bench="TreatmentBench gauge_table growth harm_figure norm_ratios norms_at_birth what_is_left",
)
