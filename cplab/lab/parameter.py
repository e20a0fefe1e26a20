"""The one parameter of a lab: with which profile it runs."""

from cplab import results
from cplab.errors import one_of
from cplab.profiles import PROFILES, Profile
from cplab.runs import Run
from cplab.show import load_bokeh

LONG = 600  # seconds of one run, from which on a lab says what training takes


def setting(
    profile: str = "auto", usual: str = "course", *, among: tuple[str, ...] = ()
) -> Profile:
    """Prepare a lab's figures and return its profile; where one run of it is long, say so.

    Arguments: profile, the lab's parameter, `auto` for the usual one; usual, the name of a profile;
        among, the profiles that the lab has, all if not given.
    Raises: CplabError for a parameter that is none of these.

    >>> setting("auto").name, setting("ci").train_images
    ('course', 512)
    """
    name = one_of("profile", profile, ("auto", *(among or PROFILES)))
    chosen = PROFILES[usual if name == "auto" else name]
    load_bokeh()
    seconds = seconds_of_a_run(chosen.name)
    if seconds > LONG:
        days = (
            f"{seconds / 86400:.0f} days" if seconds > 2 * 86400 else f"{seconds / 3600:.1f} hours"
        )
        print(
            f"{chosen.name}: one run takes about {days} of one process. This lab begins none of "
            f"them: it shows what has been trained, and counts what has not. To train more, see "
            f"`cplab sweep --help`."
        )
    return chosen


def seconds_of_a_run(profile: str) -> float:
    """What a newborn of a profile takes, from runs like it; where there are none, from those of
    `slim`, by how many multiplications an epoch has."""
    run, known = Run(profile=profile), Run(profile="slim")
    seconds = results.estimate([run])
    if seconds is None:
        times = multiplications(PROFILES[profile]) / multiplications(PROFILES["slim"])
        seconds = (results.estimate([known]) or 0) * times * run.epochs / known.epochs
    return seconds


def multiplications(profile: Profile) -> float:
    """Of an epoch of convolutions, up to a factor that all profiles share."""
    return profile.train_images * profile.size**2 * profile.width**2
