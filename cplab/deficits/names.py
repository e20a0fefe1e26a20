"""Deficits by name.

A deficit's name (`Run.deficit`) may have several parts. A number after a dash is its strength, as
in blur-2, or the fields that it covers (cover-…, see `mask_name`). A colon names the view that it
acts on, if there are two, as in blur:left. A plus joins deficits that act in turn, as in blur+flip.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Any

from cplab.base.errors import CplabError, quote
from cplab.base.late import Tensor, torch
from cplab.deficits.deficit import DEFICITS, OWN_DASHES, Batch, Deficit
from cplab.deficits.masks import MASK_DIGITS, mask_words
from cplab.specs.own import add_entry, full_name

# A part of a name: kind with its digest, strength or mask, view
PART = re.compile(
    r"([^\W\d]\w*(@[0-9a-f]{8})?)(?:-([1-9][0-9]{0,8}|[0-9a-f]{36}))?(?::(left|right))?"
)
NONE = DEFICITS["none"]


def find_deficit(given: object) -> Deficit:
    """Find a deficit by its name, in any spelling, or by its function.

    A student's own that is not defined here has no function: a figure of stored results draws it in
    grey.

    A deficit of one view has another dash than that of both. Several in turn have the first one's
    colour and another dash.

    Arguments:
        given: a name, a function or a Deficit.

    Raises:
        CplabError: for an unknown deficit.

    >>> find_deficit("blur-2").label, find_deficit("blur").colour
    ('blur (2×)', '#0072B2')
    >>> find_deficit("blur:left+flip").label
    'blur, left view, then vertical flip'
    """
    if callable(given) and not isinstance(given, Deficit):
        return add_entry(Deficit, given)
    name = given.name if isinstance(given, Deficit) else given
    if isinstance(name, str) and name in DEFICITS:
        return DEFICITS[name]
    acting = []
    for text in str(name).split("+"):
        part = read_part(text, name)
        if part.name.partition(":")[0] != "none":  # `none` and `none:left` do nothing
            acting.append(part)
    if not acting:
        return NONE
    first = acting[0]
    other_dashes = [dash for dash in OWN_DASHES if dash != first.dash]
    if len(acting) > 1:
        joined = "+".join(part.name for part in acting)
        label = ", then ".join(part.label for part in acting)
        return replace(first, name=joined, label=label, dash=other_dashes[0], parts=tuple(acting))
    if first.view:
        return replace(first, dash=other_dashes[1])
    return first


def read_part(text: str, name: object) -> Deficit:
    """Read one part of a name, such as blur-2:left.

    Arguments:
        text: of the part.
        name: as it was given, for errors.

    Raises:
        CplabError.
    """
    match = PART.fullmatch(text) if isinstance(name, str) else None
    if match is None:
        raise unknown_deficit(name)
    kind, digest, strength, view = match.groups()
    if digest and kind not in DEFICITS:
        return Deficit(text, None, text.replace(digest, ""), dash="dotted")
    kind = full_name(Deficit, kind)
    if kind not in DEFICITS:
        raise unknown_deficit(name)
    part = DEFICITS[kind]
    if strength and len(strength) == MASK_DIGITS:
        part = with_mask(part, strength, name)
    elif strength:
        part = with_strength(part, int(strength), name)
    if view:
        label = f"{part.label}, {view} view"
        part = replace(part, name=f"{part.name}:{view}", label=label, view=view)
    return part


def unknown_deficit(name: object) -> CplabError:
    """The error of a name that is no deficit's."""
    own = {name.partition("@")[0]: None for name, entry in DEFICITS.items() if entry.own}
    choices = ", ".join([entry for entry in DEFICITS if "@" not in entry] + [*own])
    spelling = "written like blur, blur-2, blur:left or cover- and 36 hexadecimal digits"
    if re.search(r"-\d*\.\d", str(name)):
        spelling += "; a strength that is no whole number is given as functools.partial(f, k=0.5)"
    return CplabError(f"unknown deficit {quote(name)}: choose one of {choices}, {spelling}")


def with_strength(part: Deficit, strength: int, name: object) -> Deficit:
    """A deficit with another strength. name: as it was given, for errors.

    Raises:
        CplabError.
    """
    parameter = part.strength_parameter
    if not parameter:
        problem = f"deficit {quote(name)} is not allowed"
        raise CplabError(f"{problem}: {part.name} has no strength, as blur-2 has")
    if strength == part.parameters[parameter]:
        return part
    words = f"{strength}×" if parameter == "strength" else f"{parameter} {strength}"
    apply = partial(part.apply, **{parameter: strength})
    return replace(
        part, name=f"{part.name}-{strength}", label=f"{part.label} ({words})", apply=apply
    )


def with_mask(part: Deficit, mask: str, name: object) -> Deficit:
    """A deficit that covers other fields. name: as it was given, for errors.

    Raises:
        CplabError.
    """
    title = f"deficit {quote(name)}"
    if "mask" not in part.parameters:
        raise CplabError(f"{title} is not allowed: {part.name} has no mask, as cover has")
    if not int(mask, 16):
        raise CplabError(f"{title} covers nothing: cover at least one field, or take none")
    if mask == part.parameters["mask"]:
        return part
    label = f"{part.label} ({mask_words(mask)})"
    apply = partial(part.apply, mask=mask)
    return replace(part, name=f"{part.name}-{mask}", label=label, apply=apply)


def canonical_name(given: object) -> str:
    """The spelling of a deficit's name in a `Run`: blur+flip for none+blur-4+flip."""
    return find_deficit(given).name


def apply_deficit(x: Tensor, y: Tensor, name: object, **context: Any) -> tuple[Tensor, Tensor]:
    """Apply a deficit to images and labels, as training does.

    Arguments:
        x: images (N, C, H, W), normalised to mean 0 and deviation 1, or two views of each (N, 2, C,
            H, W), the left one first.
        y: labels (N,).
        name: a deficit's name or its function.
        context: fields of a `Batch`, without which the images are taken for the first training
            images of a data set.

    >>> import cplab, torch
    >>> seen, labels = cplab.apply_deficit(torch.randn(2, 3, 8, 8), torch.tensor([0, 1]), "blank")
    >>> seen.abs().max().item(), labels.tolist()
    (0.0, [0, 1])
    """
    if not isinstance(x, torch.Tensor) or x.ndim not in (4, 5) or not x.is_floating_point():
        remedy = "give a torch tensor of normalised ones (N, C, H, W)"
        raise CplabError(f"images {quote(x)} are not allowed: {remedy}")
    index = torch.arange(len(x), device=x.device)
    batch = Batch(**{"index": index, "images": len(x), **context})
    return find_deficit(name)(x, y, batch)
