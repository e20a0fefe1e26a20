"""A student's own deficit or network is tried on four images before hours of training do."""

from __future__ import annotations

import inspect
import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cplab.errors import CplabError, require

CLASSES = 10  # of every data set but one's own


@contextmanager
def trial(name: str) -> Iterator[list[str]]:
    """Turns errors into one line. Gives a list that names, in the end, the global generators that
    were used in between; they are put back."""
    import random

    import numpy as np
    import torch

    def states() -> dict[str, Any]:
        return {
            "random": random.getstate(),
            "numpy": np.random.get_state(),
            "torch": torch.get_rng_state().numpy(),
        }

    before = states()
    used: list[str] = []
    try:
        yield used
    except CplabError:
        raise
    except Exception as error:
        text = str(error).partition("\n")[0]
        raise CplabError(f"{name} fails on four images: {type(error).__name__}: {text}") from error
    finally:
        after = states()
        used += [name for name in before if pickle.dumps(after[name]) != pickle.dumps(before[name])]
        random.setstate(before["random"])
        np.random.set_state(before["numpy"])
        torch.set_rng_state(torch.from_numpy(before["torch"]))


@contextmanager
def explain_own(entry: Any) -> Iterator[None]:
    """One line where a student's own function, by its entry, fails in the middle of training."""
    try:
        yield
    except Exception as error:
        if not entry.source or isinstance(error, CplabError):
            raise
        line = f"{entry.name.partition('@')[0]} fails: {type(error).__name__}: {error}"
        raise CplabError(line.partition("\n")[0]) from error


def try_deficit(deficit: Any, context: Any) -> None:
    """Try a deficits.Deficit on four images, of which it may know this context.

    Raises: CplabError if it fails, changes what it is given, gives back anything but images and
        labels of the same shapes and types, or is not a function of these and its generator.
    """
    import torch

    name = deficit.name.partition("@")[0]
    check_signature(name, deficit.apply)
    results: list[Any] = []
    for _ in range(4):  # a draw that seldom matters may hide in one
        x = torch.sin(torch.arange(4 * 3 * 16 * 16.0)).reshape(4, 3, 16, 16)  # course's size
        y = torch.tensor([0, 3, 6, 9])
        before = x.clone(), y.clone()
        tools = {"generator": torch.Generator().manual_seed(0), "context": context}
        given = {tool: value for tool, value in tools.items() if tool in deficit.parameters}
        with trial(name) as used:
            result = deficit.apply(x, y, **given)
        check_result(name, result, x, y)
        same = torch.equal(x, before[0]) and torch.equal(y, before[1])
        require(same, f"{name} changes what it is given: begin with x = x.clone()")
        require(
            not used,
            f"{name} draws from the global generator of {', '.join(used)}: name a parameter "
            "`generator` and draw with torch.rand(..., generator=generator)",
        )
        results.append(result)
    alike = all(torch.equal(a, b) for r in results for a, b in zip(r, results[0], strict=True))
    require(
        alike, f"{name} does not give the same twice: draw with the parameter `generator` alone"
    )


def check_signature(name: str, apply: Callable) -> None:
    """Raises: CplabError unless it can be called with images, labels, generator and context."""
    parameters = list(inspect.signature(apply).parameters.values())
    fixed = [p for p in parameters[:2] if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    require(len(fixed) == 2, f"{name} does not take images and labels: write def {name}(x, y)")
    for p in parameters[2:]:
        many = p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        require(not many, f"{name} takes {p}: write its parameters out, each with a default")
        known = p.default is not p.empty or p.name in ("generator", "context")
        require(known, f"{name} needs {p.name!r}: give it a default")


def check_result(name: str, result: Any, x: Any, y: Any, classes: int = CLASSES) -> None:
    """Raises: CplabError unless the result is images as x and labels as y."""
    import torch

    pair = isinstance(result, tuple) and len(result) == 2
    require(pair, f"{name} gives back a {type(result).__name__}: end it with return x, y")
    for what, got, like in (("images", result[0], x), ("labels", result[1], y)):
        tensor = isinstance(got, torch.Tensor)
        require(tensor, f"{name} gives back {what} as a {type(got).__name__}, not a tensor")
        require(
            got.shape == like.shape and got.dtype == like.dtype,
            f"{name} gives back {what} of shape {tuple(got.shape)} and type {got.dtype}: they must "
            f"stay {tuple(like.shape)} and {like.dtype}",
        )
    finite = bool(result[0].sum().isfinite())  # the sum takes a tenth of the time
    require(finite, f"{name} gives back images that are not finite: mind divisions by 0")
    named = bool(((result[1] >= 0) & (result[1] < classes)).all())
    require(named, f"{name} gives back labels that are none: they go from 0 to {classes - 1}")


def try_model(model: Any) -> None:
    """Try a models.Model.

    Raises: CplabError if it cannot be built, gives anything but logits (4, 10), has a weight that
        does not learn, or is not a function of torch's seed and the images.
    """
    import torch
    from torch import nn

    name, views = model.name.partition("@")[0], model.views
    shape = (4, 3, 16, 16) if views == 1 else (4, views, 3, 16, 16)
    x = torch.sin(torch.arange(float(math.prod(shape)))).reshape(shape)
    found: list[list[torch.Tensor]] = []
    with trial(name) as used:
        for _ in range(2):
            torch.default_generator.manual_seed(0)
            net = model.apply(8, 3, 16, CLASSES)
            kind = type(net).__name__
            require(isinstance(net, nn.Module), f"{name} gives a {kind}: return a network")
            before = torch.get_rng_state()
            logits = net(x)
            require(
                torch.equal(before, torch.get_rng_state()),
                f"{name} draws random numbers when it is used, as dropout does: leave these out",
            )
            given = tuple(getattr(logits, "shape", ()))
            require(
                given == (4, CLASSES),
                f"{name} gives shape {given} for four images: return logits (4, {CLASSES})",
            )
            nn.functional.cross_entropy(logits, torch.arange(4)).backward()
            weights = dict(net.named_parameters())
            idle = [k for k, w in weights.items() if w.requires_grad and w.grad is None]
            require(not idle, f"{name} has weights that do not learn: {', '.join(idle)}")
            found.append([logits.detach(), *(w.detach() for w in weights.values())])
    alike = not {*used} - {"torch"} and all(map(torch.equal, *found))
    require(alike, f"{name} is another at each try: draw weights with torch alone")
