"""The deficits that screens offer, and how a page is told of them. To offer another one is a row of
OFFERS, and for the first screen, where the browser trains, a line in `spoil` of networks.js."""

from typing import NamedTuple, NotRequired, TypedDict

from cplab import deficits
from cplab.output.styles import ink, style

Strength = int | str  # of a deficit, as its name has it: a number, or the fields that it covers


class Knob(NamedTuple):
    """What sets the strength of a deficit on the first screen.

    Attributes:
        words: beside it.
        options: the strengths to choose from, or masks to begin painting with.
        usual: the strength at first, which the deficit has if its name says none.
    """

    words: str
    options: tuple[Strength, ...]
    usual: Strength


class Offer(NamedTuple):
    """A deficit that screens offer.

    Attributes:
        name: the deficit's.
        label: its name in a list of the first screen.
        words: what a network is under it, for sentences: "the network blurred at epoch 8".
        nursery: whether the first screen has it, where digits are small.
        explorer: whether the explorer of photographs has it.
        knob: of its strength on the first screen, if it has one.
    """

    name: str
    label: str
    words: str
    nursery: bool = True
    explorer: bool = True
    knob: Knob | None = None


MOSAIC = Knob("blur, pixels a side", (2, 3, 4, 6), usual=3)
COVER = Knob("what is covered", tuple(deficits.MASKS.values()), usual=deficits.MASKS["right half"])
OFFERS = (
    Offer("blur", "blur", "blurred", nursery=False),
    Offer("mosaic", "blur", "blurred", explorer=False, knob=MOSAIC),
    Offer("flip", "upside down", "shown images upside down"),
    Offer("permute", "wrong names", "taught wrong names"),
    Offer("noise", "noise", "shown noise"),
    Offer("cover", "cover", "with a part covered", explorer=False, knob=COVER),
)
NURSERY = {offer.name: offer for offer in OFFERS if offer.nursery}
EXPLORER = {offer.name: offer for offer in OFFERS if offer.explorer}


class Look(TypedDict):
    """The look of a deficit in a page."""

    label: str
    colour: str
    name: str
    ink: str  # black or white, whichever is legible on the colour


class PageKnob(TypedDict):
    """A knob as a page has it; see `Knob`."""

    words: str
    options: tuple[Strength, ...]
    usual: Strength


class OfferedKind(Look):
    """A deficit of the first screen: its look, what a network is under it, and its knob."""

    words: str
    knob: NotRequired[PageKnob]


def look(name: str) -> Look:
    """The look of a deficit as plain data.

    >>> look("flip")["label"]
    'vertical flip'
    """
    drawn = style(name)
    return {"label": drawn.label, "colour": drawn.colour, "name": name, "ink": ink(drawn.colour)}


def offered_kind(offer: Offer) -> OfferedKind:
    """A deficit that the first screen offers, as plain data."""
    kind: OfferedKind = {**look(offer.name), "label": offer.label, "words": offer.words}
    if offer.knob:
        words, options, usual = offer.knob
        kind["knob"] = {"words": words, "options": options, "usual": usual}
    return kind
