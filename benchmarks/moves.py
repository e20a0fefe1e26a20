"""How long a move of the explorer takes in JupyterLab: python -m benchmarks.moves [COUNT].

From the key that is pressed to the last figure that is painted for it, in headless Chromium, in
milliseconds. Steps of one, which were drawn in advance, beside the baseline in the same page: jumps
of several epochs, which Python is asked for. Moves that change no figure do not count.
"""

import contextlib
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent
PAUSE = 500  # milliseconds between moves
LISTEN = """() => {
  window.pressed = 0;
  window.painted = 0;
  document.addEventListener('keydown', ({timeStamp}) => { pressed = timeStamp }, true);
  for (const {canvas_view: {primary}, repainted} of Bokeh.index.query(view => view.frame)) {
    const {prepare} = primary;  // only where something is painted
    let anew = false;
    primary.prepare = function () { anew = true; return prepare.call(this) };
    repainted.connect(() => { if (anew) painted = performance.now(); anew = false });
  }
}"""


def moves(lab: Any, keys: list[str]) -> list[float]:
    """The milliseconds of each move that is drawn."""
    found = []
    for key in keys:
        lab.page.keyboard.press(key)
        lab.page.wait_for_timeout(PAUSE)
        pressed, painted = lab.page.evaluate("[pressed, painted]")
        found += [painted - pressed] * (painted > pressed)
    return found


def main() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    import lab_browser
    import nbformat

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    cell = nbformat.v4.new_code_cell("import cplab\ncplab.Explorer()")
    kernel = {"name": "python3", "display_name": "Python 3"}
    book = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    with contextlib.ExitStack() as open_now:
        home = Path(open_now.enter_context(tempfile.TemporaryDirectory()))
        nbformat.write(book, home / "moves.ipynb")
        browser = open_now.enter_context(lab_browser.chromium())
        server = open_now.enter_context(lab_browser.jupyterlab(home))
        lab = open_now.enter_context(lab_browser.page(browser, server))
        lab.open("moves.ipynb")
        lab.run_all()
        lab.wait_drawn(lab.find(".jp-OutputArea-output").first)
        lab.page.wait_for_timeout(4 * PAUSE)
        lab.page.evaluate(LISTEN)
        lab.control(".cplab-onset").locator(lab.HANDLE).focus()
        back = ["ArrowRight"] * 16 + ["ArrowLeft"] * 16
        steps = moves(lab, (count // len(back) + 1) * back)
        jumps = moves(lab, ["PageUp", "PageDown"] * (count // 2))
        for words, times in (("steps of one epoch", steps), ("jumps", jumps)):
            reach = f"{min(times):.0f} to {max(times):.0f}"
            print(f"{words:<20}{median(times):6.0f} ms   {reach}, {len(times)} moves")
        print(f"{'a jump to a step':<20}{median(jumps) / median(steps):6.1f} times")
        lab.leave()


if __name__ == "__main__":
    main()
