"""The widgets of labs: questions, figures and exercises.

>>> from cplab import lab
>>> lab.question("Is it so?", ["yes", "no"], right="yes", finding="It is.")
Is it so?
"""

from cplab.base.errors import installed

with installed():
    from cplab.lab import missing as missing  # shows offers below outputs that lack results
    from cplab.lab.buttons.live import live
    from cplab.lab.explorer.explorer import Explorer
    from cplab.lab.nursery.nursery import Nursery
    from cplab.lab.optional import if_possible
    from cplab.lab.parameter import setting
    from cplab.lab.questions.checks import Answer, check, exercise, is_right
    from cplab.lab.questions.questions import Prediction, hand_in, question, slide, switch
    from cplab.pictures.previews import images_at_hand, pictures

__all__ = ["Answer", "Explorer", "Nursery", "Prediction", "check", "exercise", "hand_in"]
__all__ += ["if_possible", "images_at_hand", "is_right", "live", "pictures", "question"]
__all__ += ["setting", "slide", "switch"]
