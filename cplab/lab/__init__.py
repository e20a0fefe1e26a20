"""The widgets of labs: questions, figures and exercises. Each is loaded when it is first used.

>>> from cplab import lab
>>> question = lab.choice("Is it so?", ["yes", "no"], lambda: ["It is."])
>>> question.answer = "yes"
>>> question.revealed = True
>>> question.words.splitlines()[-1]
'It is.'
"""

from cplab import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    widgets="Live Prediction Slide Switch choice",
    explorer="Explorer pictures",
    parameter="setting",
    answers="check_answer",
)
