"""Elements of a page: the script that each brings, and its connection to Python."""

import base64
import json
import secrets
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any, TypedDict, Unpack

import anywidget
import traitlets

from cplab.base import palette
from cplab.output.markup import Bundle, bundle

ROOMS = Path(__file__).parents[1]  # of the lab's elements
COLAB = "google.colab"
# Style sheets use these colours by name, such as var(--cplab-main)
COLOURS = {
    "main": palette.MAIN,
    "second": palette.SECOND,
    "truth": palette.TRUTH,
    "wrong": palette.WRONG,
}
# What an element says where no script runs, as in marimo or on GitHub
WHERE = "Its buttons work in JupyterLab, VS Code and Colab, and on the pages of the site."
REGISTER = """
const register = (model) => {
  globalThis.cplabLinks[model.get("name")] = model;
  dispatchEvent(new CustomEvent("cplab-link"));
};
export default {
  initialize: ({model}) => register(model),
  render({model, el}) {
    register(model);
    el.innerHTML = model.get("page");
  },
};"""


# An output in several forms; of a widget with metadata, as ipywidgets has it
Output = Bundle | tuple[dict[str, Any], dict[str, Any]] | None


class Live(TypedDict, total=False):
    """What a page shows beside its button while work goes on."""

    busy: bool  # whether it goes on
    colab: bool  # whether the page has to ask for news, as on Colab, since it gets them only so
    message: str  # the last line
    error: bool  # whether this line says what went wrong
    done: int  # how many epochs are trained
    epochs: int  # of how many
    count: str  # the same in words
    points: list  # of an explorer: which are trained,
    curves: dict[str, list[list[float]]]  # and their accuracies so far, in percent, by their keys


@cache
def script(element: str, *names: str) -> str:
    """The script of an element, which acts once on a page.

    It consists of `page.js` and the scripts with these names, such as screen/words, after
    constants that hold their style sheets and their modules in WebAssembly, if there are any.
    """
    colours = "; ".join(f"--cplab-{name}: {colour}" for name, colour in COLOURS.items())
    styles = {"palette": f":root {{ {colours} }}"}
    modules = []
    for name in names:
        sheet = ROOMS / f"{name}.css"
        if sheet.exists():
            styles[sheet.stem] = sheet.read_text("utf-8")
        module = ROOMS / f"{name}.wasm"
        if module.exists():
            packed = base64.b64encode(module.read_bytes()).decode()
            modules.append(f"const WASM = {json.dumps(packed)};")
    scripts = [(ROOMS / f"{name}.js").read_text("utf-8") for name in ("screen/page", *names)]
    code = "\n".join([f"const STYLES = {json.dumps(styles)};", *modules, *scripts])
    return f'if (!customElements.get("{element}")) {{\n{code}\n}}'


class Link(anywidget.AnyWidget):
    """Connects the elements of one name to Python. It is never displayed, except on Colab, where
    each output is a page of its own: there it brings the page."""

    _esm = traitlets.Unicode().tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    page = traitlets.Unicode().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    live = traitlets.Dict().tag(sync=True)
    content = traitlets.Unicode().tag(sync=True)  # what has changed since the output was written

    def __init__(self, code: str, **state: Any) -> None:
        super().__init__(_esm=code + REGISTER, name=secrets.token_hex(8), **state)

    def tell(self, **live: Unpack[Live]) -> None:
        """Tell the page how far the work is, in place of all that it was told before."""
        self.live = {**live}

    def bundle(self, text: str, page: str, code: str) -> Output:
        """What an output shows: text, or a page with the code of its script."""
        if COLAB in sys.modules:
            self.page = page
            return self._repr_mimebundle_()
        return bundle(text, f"{page}<script>{code}</script>")

    def answer_wait(self, done: threading.Event) -> None:
        """Answer a page on Colab, which gets messages only as answers to its own, with the news of
        the work. Arguments: done, an event that is set when the work has ended."""
        done.wait(0.25)
        self.send_state(["live", "content"])
