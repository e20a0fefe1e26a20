"""The widgets of labs: questions, figures and exercises. Each is loaded when it is first used.

>>> from cplab import lab
>>> lab.question("Is it so?", ["yes", "no"], right="yes", found="It is.")
Is it so?
"""

from cplab.late import load_late

__all__, __getattr__, __dir__ = load_late(
    __name__,
    questions="Prediction check question slide switch",
    training="live",
    explorer="Explorer pictures",
    tiny="Nursery",
    parameter="setting",
)
