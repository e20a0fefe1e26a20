"""The widgets of labs: questions, figures and exercises.

>>> from cplab import lab
>>> lab.question("Is it so?", ["yes", "no"], right="yes", found="It is.")
Is it so?
"""

from cplab.errors import installed
from cplab.specs import explained

with installed():
    from cplab.lab.explorer import Explorer
    from cplab.lab.parameter import setting
    from cplab.lab.questions import Prediction, check, question, slide, switch
    from cplab.lab.tiny import Nursery
    from cplab.lab.training import live
    from cplab.previews import images_at_hand, pictures

__all__ = ["Explorer", "Nursery", "Prediction", "check", "images_at_hand", "live", "pictures"]
__all__ += ["question", "setting", "slide", "switch"]
globals().update(explained(globals()))
