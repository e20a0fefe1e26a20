"""The parameter of a lab: the profile with which it runs."""

from cplab.base.errors import one_of
from cplab.results.duration import format_duration
from cplab.runs import Profile, Run
from cplab.specs.profiles import PROFILES

LONG = 600  # seconds of one run above which a lab prints how long training takes


def setting(
    profile: str = "auto", usual: str = "course", *, among: tuple[str, ...] = ()
) -> Profile:
    """Return a lab's profile, and print a line if its runs take long.

    Arguments:
        profile: the lab's parameter, `auto` for the usual one.
        usual: the name of a profile.
        among: the profiles that the lab has, by default all.

    Raises:
        CplabError: for a parameter that is none of these.

    >>> setting("auto").name, setting("ci").train_images
    ('course', 512)
    """
    name = one_of("profile", profile, ("auto", *(among or PROFILES)))
    chosen = PROFILES[usual if name == "auto" else name]
    seconds = chosen.epoch_seconds * Run(profile=chosen.name).epochs
    if seconds > LONG:
        print(
            f"{chosen.name}: one run takes {format_duration(seconds)} on one core. This lab "
            f"starts none: it shows what has been trained, and counts what has not. To train more, "
            f"see `cplab sweep --help`."
        )
    return chosen
