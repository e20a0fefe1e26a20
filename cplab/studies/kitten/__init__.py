"""Lab 01: statements of animal papers, a curve fitted to them, and networks beside animals."""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    animals="GESTATION decline statements",
    fits="Fit fit",
    fitting="Fitting",
    networks="NEAR closest fans in_silico shares",
    figures="age_figure orientation_figure statement_table",
)
