"""Lab 01: what is known from animals, the curves through it, and how both are drawn."""

from cplab.lazy import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    animals="GESTATION critical_period decline from_sensitivity statements",
    networks="closest fans in_silico lean of_the_fall shares stripes_left",
    figures="age_figure compare_with_animals orientation_figure statement_table",
)
