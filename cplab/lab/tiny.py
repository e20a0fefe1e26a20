"""Small networks that grow up while one looks on: a widget for a notebook, where Python trains, and
a page without Python, where the browser does. `tiny.js` beside this file draws both.
"""

import base64
import gzip
import json
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from cplab import data
from cplab.lab.explorer import look
from cplab.specs.profiles import PROFILES

HERE = Path(__file__).parent
SCRIPT, STYLE, MARKUP = ((HERE / f"tiny.{end}").read_text("utf-8") for end in ("js", "css", "html"))
TINY = PROFILES["tiny"]
TRAIN = 3_000  # digits that a page holds; each of its networks learns some of them
WINDOW = 300  # epochs at whose end the latest deficit ends
KINDS = {  # a deficit: its button, and the beginning of a sentence
    "mosaic": ("blur", "Blurred"),
    "flip": ("upside down", "Upside down"),
    "noise": ("noise", "Shown noise"),
    "permute": ("wrong names", "Taught wrong names"),
}
KNOBS = {
    "digits": ("digits to learn", (100, 300, 1000)),
    "layers": ("hidden layers", (1, 2, 3)),
    "scale": ("initial weights, times He's", (0.1, 0.3, 1)),
    "rate": ("learning rate", (0.03, 0.1, 0.3)),
    "block": ("blur, pixels a side", (2, 3, 4, 6)),
}
PLACE = {"kind": "mosaic", "onset": 0, "length": 200, "recovery": TINY.recovery}
PLACE |= {"digits": TINY.train_images, "layers": 2, "scale": 0.3, "rate": TINY.fixed_lr, "block": 3}
WHY = "Why: own digits that they get right when clear, %"


@cache
def digits(train: int = TRAIN) -> dict[str, Any]:
    """Drawn digits for tiny.js: all test images and the first `train` training images, as base64 of
    gzip of two pixels a byte, in 16 greys, and a label a byte; their mean and deviation.

    >>> digits(300)["test"]
    1000
    """
    images = data.images("drawn", TINY.name)
    parts = (images.train_x[:train], images.test_x), (images.train_y[:train], images.test_y)
    pixels, labels = (np.concatenate([part.numpy() for part in both]) for both in parts)
    greys = np.rint(pixels.reshape(-1, 2) / 17).astype(np.uint8)
    packed = (greys[:, 0] << 4 | greys[:, 1]).tobytes() + labels.astype(np.uint8).tobytes()
    seen = greys.reshape(len(labels), -1)[:train] / 15
    return {
        "packed": base64.b64encode(gzip.compress(packed, mtime=0)).decode(),
        "train": train,
        "test": len(images.test_y),
        "average": seen.mean(),
        "deviation": seen.std(),
    }


def content(networks: int = 5, seed: int = 0, why: bool = True, knobs: bool = True) -> dict:
    """All that tiny.js needs, as plain data.

    Arguments: networks that one press trains; the first one's seed; whether the figure that tells
        the reason is shown; whether there are knobs.
    """
    buttons = (
        f'<button type="button" name="kind" value="{name}">{words}</button>'
        for name, (words, _) in KINDS.items()
    )
    fields = (
        f'<label>{escape(words)} <select name="{name}">'
        + "".join(f"<option>{value}</option>" for value in values)
        + "</select></label>"
        for name, (words, values) in KNOBS.items()
    )
    markup = MARKUP.format(
        kinds="".join(buttons),
        knobs="".join(fields),
        window=WINDOW,
        share=100 * WINDOW / (WINDOW + TINY.recovery),
        why=WHY,
        hidden="" if why else " hidden",
        knobless="" if knobs else " hidden",
    )
    return {
        "html": markup,
        "kinds": {
            name: {**look(name, ""), "label": words, "participle": participle}
            for name, (words, participle) in KINDS.items()
        },
        "place": PLACE,
        "fixed": {"width": TINY.width, "every": 5},
        "window": WINDOW,
        "range": [40, 90],
        "networks": networks,
        "seed": seed,
        "t": [float(t.ppf(0.975, freedom)) for freedom in range(1, 100)],
        "words": {
            "begin": "Does a childhood in a blur leave a mark? Drag the blur, and press Train.",
            "empty": "Here they will grow up",
            "growing": "They grow up …",
            "digits": "Digits, and what the network sees of them",
            "wrong": "Only the deprived get these wrong",
            "none": "No digit that only the deprived get wrong",
        },
        "digits": digits(),
    }


def page(given: dict | None = None) -> str:
    """The widget as HTML that needs neither Python nor a network, by default of `content()`."""
    text = json.dumps(given or content(), separators=(",", ":")).replace("</", "<\\/")
    script = SCRIPT.replace("export default ", "const widget = ").replace("export ", "")
    script += """
    const get = () => document.getElementById("cplab-t-content").textContent;
    const el = document.getElementById("cplab-t-page");
    widget.render({el, model: {get, on() {}, send() {}}});"""
    return (
        f'<style>{STYLE}</style><div id="cplab-t-page"></div>'
        f'<script type="application/json" id="cplab-t-content">{text}</script>'
        f'<script type="module">{script}</script>'
    )
