"""What the shipped results show, as figures for slides, and how they become files."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cplab import quantities
from cplab.checks import CplabError
from cplab.runs import Run
from cplab.show.predictions import all_seeds
from cplab.show.results import bars, curves, means, over_epochs, rates, removal
from cplab.show.theme import label
from cplab.studies import eyes, linear, pruning
from cplab.studies import kitten as animals
from cplab.studies.kitten import age_figure

SIZE: dict[str, Any] = {"width": 720, "height": 420}
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
BROWSERS += ["msedge", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"]
EARLY_LATE = [Run("blur", length=end, schedule="paper") for end in (4, 16)]
# Run in the page once all is drawn; what it writes into the page is read from there.
EXPORT = """<script>
const wait = setInterval(() => {
  if (!window.Bokeh || !Bokeh.documents[0] || !Bokeh.documents[0].is_idle) return;
  clearInterval(wait);
  const {PlotView} = Bokeh.require("models/plots/plot"), made = {};
  function walk(views) {
    for (const view of views) {
      if (view instanceof PlotView) {
        const svg = view.export("svg").ctx.get_serialized_svg(true);
        made[view.model.name] = [svg, view.export("png").canvas.toDataURL("image/png")];
      } else if (view.child_views) walk(view.child_views.values());
    }
  }
  walk(Bokeh.index);
  document.title = "drawn";
  const text = document.createElement("pre");
  text.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(made))));
  document.body.replaceChildren(text);
}, 50);
</script>"""


def traces() -> Any:
    """The Fisher trace along lives with and without a deficit."""
    lives = {"no deficit": Run(onset=24, profile="fit")}
    lives |= {label(kind): Run(kind, length=24, profile="fit") for kind in ("blur", "flip")}
    found = {words: all_seeds(run, measure={"trace": "every"}) for words, run in lives.items()}
    return over_epochs(found, **SIZE)


def certainty() -> Any:
    """The trace of a life without a deficit, and what of it is not certainty (lab 04)."""
    run, curves = Run(onset=24, profile="fit"), dict[str, Any]()
    readings: dict[str, dict] = {"trace": {}, "‖J‖²": {"of": "jacobian"}}
    for words, how in readings.items():
        each = quantities.each_seed(quantities.trace_curve, run, **how)
        at = np.flatnonzero(np.isfinite(each).all(0))
        parts = each[:, at] / each[:, at].max(1, keepdims=True)
        curves[words] = dict(zip((at + 1).tolist(), parts.T, strict=True))
    return means(curves, ("epoch", "part of the highest"), percent=False, legend="right", **SIZE)


def kittens() -> Any:
    """What is printed of the acuity of cats after a closed eye or a dark room (lab 01)."""
    asked = {"one eye closed": "recovered_acuity", "reared in the dark": "dark_reared_acuity"}
    rows = {words: animals.statements(what) for words, what in asked.items()}
    points = {words: found[found.kind == "point"] for words, found in rows.items()}
    normal = animals.statements("normal_acuity").value.max()
    fig = age_figure(points, 400, "cycles/degree", normal)
    fig.update(**SIZE)
    return fig


def grown_and_pruned() -> Any:
    """What an architecture that was grown and pruned is ahead of a random one, and what of that its
    degrees alone are (lab 05)."""
    search = pruning.Search("mnist", gamma=0.016, n=10_000, keep=pruning.DENSITIES)

    def ahead(kind: str, density: float) -> Any:
        pair = (pruning.Retraining(k, density, search, steps=10_000) for k in (kind, "random"))
        return quantities.each_seed(quantities.advantage, *pair)

    kinds = ("biological", "per_pixel", "degrees")
    groups = {kind: {100 * d: ahead(kind, d) for d in pruning.DENSITIES} for kind in kinds}
    how: dict[str, Any] = {"percent": False, "log": True, "legend": "top_right"}
    return means(groups, ("density, %", "points above random"), **how, **SIZE)


def harm_by_depth() -> Any:
    """The harm of blur from birth in networks of one family that differ in depth (lab 06)."""

    def harm(n: int, end: int) -> Any:
        run = Run("blur", length=end, model=f"depth{n}", schedule="fixed")
        return quantities.each_seed(quantities.harm, run)

    groups: Any = {f"n = {n}": {end: harm(n, end) for end in (4, 8, 16)} for n in (1, 2, 3)}
    words = ("blurred until epoch", "harm, points")
    return means(groups, words, percent=False, legend="right", **SIZE)


def share_lost_by_age() -> Any:
    """What an eye is left with that was closed for 8 epochs, by the age at which (lab 07)."""
    lives = [Run("blank:right", at, 8, model="eyes") for at in (0, 4, 8, 16)]
    groups: dict[str, dict[float, Any]] = {"right eye closed for 8 epochs": {}, "never closed": {}}
    for life in lives:
        for kept, one in zip(groups.values(), (life, life.without_window()), strict=True):
            kept[life.onset] = quantities.each_seed(eyes.eye_share, one)
    words = ("epoch at which the right eye is closed", "its share of the neurons")
    return means(groups, words, percent=False, legend="right", **SIZE)


def linear_eyes_by_age() -> Any:
    """The same on paper: eyes of one to four linear layers, closed for one half-learning time; the
    curves are solved, and nothing is trained (lab 08)."""
    ages = np.linspace(0, 5, 21)
    lives = {d: [linear.Rearing(depth=d, onset=at) for at in ages] for d in (1, 2, 3, 4)}
    kept = {f"depth {d}": (ages, [linear.share(one)[0] for one in of]) for d, of in lives.items()}
    words = ("age at which the eye is closed, T", "share of the closed eye in the end")
    return curves(kept, *words, percent=True, **SIZE)


def treatments() -> Any:
    """The harm that is left of a deficit of 16 epochs after a treatment (lab 09)."""
    kinds: Any = {"no treatment": "", "renorm": "renorm@16", "norms held from birth": "held@0"}
    runs = {
        f"{label(deficit)}, {words}": Run(deficit, length=16, treatments=kind)
        for deficit in ("noise", "blur")
        for words, kind in kinds.items()
    }
    left = {text: quantities.each_seed(quantities.harm, run) for text, run in runs.items()}
    there: Any = {text: points for text, points in left.items() if len(points)}
    return bars(there, "harm, points", percent=False, **SIZE)


EXHIBITS: dict[str, Callable[[], Any]] = {
    "kittens": kittens,
    "removal": lambda: removal(Run(), ("blur", "flip", "permute", "noise"), **SIZE),
    "removal-paper-schedule": lambda: removal(Run(schedule="paper"), ("blur", "flip"), **SIZE),
    "rates-paper-schedule": lambda: rates(EARLY_LATE, **SIZE),
    "fisher-trace": traces,
    "trace-and-certainty": certainty,
    "grown-and-pruned": grown_and_pruned,
    "harm-by-depth": harm_by_depth,
    "share-lost-by-age": share_lost_by_age,
    "linear-eyes-by-age": linear_eyes_by_age,
    "treatments": treatments,
}


def photograph(figures: dict[str, Any]) -> dict[str, bytes]:
    """Figures as files: {name.svg and name.png: content}, drawn by a Chromium without a window.

    Raises: CplabError where none is installed, or it draws nothing.
    """
    from bokeh import layouts
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        raise CplabError("no browser draws the figures here: install Chromium or Google Chrome")
    for name, figure in figures.items():
        figure.name = name
    page = file_html(layouts.column(*figures.values()), INLINE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(page.replace("</body>", f"{EXPORT}</body>"), "utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/user"]
        options += ["--virtual-time-budget=60000", "--timeout=60000", "--dump-dom"]
        words = [browser, *options, path.as_uri()]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CplabError(f"{browser} draws nothing ({error}): install another") from error
    found = re.search(r"<pre>([A-Za-z0-9+/=]+)</pre>", done.stdout)
    if not found:
        raise CplabError(f"{browser} draws nothing: install another Chromium or Google Chrome")
    files = {}
    for name, (svg, png) in json.loads(base64.b64decode(found[1])).items():
        files[f"{name}.svg"] = svg.encode()
        files[f"{name}.png"] = base64.b64decode(png.partition(",")[2])
    return files
