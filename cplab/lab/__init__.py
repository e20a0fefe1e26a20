"""What labs ask with, and show with. Each name is loaded, with the widgets, when it is first used.

>>> from cplab import lab
>>> question = lab.choice("Is it so?", ["yes", "no"], lambda: ["It is."])
>>> question.controls["answer"].value = "yes"
>>> question.reveal.click()
>>> question.revealed
True
"""

from cplab.lazy import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    widgets="Fitting Prediction Ranking Slide Switch choice finding",
    live="Live",
    explorer="Explorer explorer_page pictures",
    knowledge="verdict",
    classes="class_picture",
    parameter="setting",
    answers="check_answer",
)
