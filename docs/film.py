"""The film of README: `python docs/film.py` records the first screen while it trains in a browser.

It writes docs/pictures/first_screen.webp, with a frame whenever the page has drawn something. If
training took longer than the film, as on a machine with much else to do, it is played faster.
"""

import base64
import importlib
import io
import itertools
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from cplab.lab.nursery import nursery

HERE = Path(__file__).parent
FILM = HERE / "pictures" / "first_screen.webp"
SIZE = {"width": 940, "height": 545}  # of the page, in pixels
SHOWN = 820  # width of the film, in pixels
TRAINS = 7.0  # seconds of the film in which networks grow, at most
RESTS = 3.0  # and in which what has become of them can be read
QUALITY = 70
FASTEST = 1 / 12  # seconds of the film from one frame to the next, at least

Frame = tuple[float, Image.Image]  # when it was drawn, in seconds, and the page
PRESS = "document.querySelector('cplab-nursery').press()"
GROWS = "document.querySelector('cplab-nursery').training"


def record(page: Page) -> list[Frame]:
    """Press Train, and take all frames until the networks have grown up."""
    frames: list[Frame] = []
    session = page.context.new_cdp_session(page)

    def take(event: dict) -> None:
        picture = Image.open(io.BytesIO(base64.b64decode(event["data"]))).convert("RGB")
        frames.append((event["metadata"]["timestamp"], picture))
        session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    session.on("Page.screencastFrame", take)
    session.send("Page.startScreencast", {"format": "png"})
    page.wait_for_timeout(500)
    page.evaluate(PRESS)
    page.wait_for_function(f"!{GROWS}", timeout=300_000)
    page.wait_for_timeout(500)
    session.send("Page.stopScreencast")
    return frames


def thinned(frames: list[Frame], apart: float) -> list[Frame]:
    """Frames that are at least so many seconds apart, and the last one."""
    kept = frames[:1]
    for frame in frames[1:-1]:
        if frame[0] - kept[-1][0] >= apart:
            kept.append(frame)
    return [*kept, frames[-1]]


def write(frames: list[Frame], path: Path) -> None:
    """Write frames as an animation that begins anew when it has ended."""
    begin, end = frames[0][0], frames[-1][0]
    pace = min(1.0, TRAINS / (end - begin))
    height = round(SHOWN * SIZE["height"] / SIZE["width"])
    frames = thinned(frames, FASTEST / pace)
    pictures = [picture.resize((SHOWN, height), Image.Resampling.LANCZOS) for _, picture in frames]
    times = [pace * (time - begin) for time, _ in frames] + [pace * (end - begin) + RESTS]
    durations = [round(1000 * (b - a)) for a, b in itertools.pairwise(times)]
    pictures[0].save(
        path,
        save_all=True,
        append_images=pictures[1:],
        duration=durations,
        loop=0,
        quality=QUALITY,
        method=6,
        minimize_size=True,
    )


def main() -> None:
    sys.path.insert(0, str(HERE.parent / "tests"))
    browsers = importlib.import_module("browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        screen = nursery.page(nursery.content(seed=100, compare=True))
        # the seconds that it took are this machine's, and not the film's
        style = "<style>body { margin: 10px; } [role=status] { visibility: hidden; }</style>"
        script = f"<script>{nursery.SCRIPT}</script>"
        path.write_text(f"<!doctype html><meta charset=utf-8>{style}{screen}{script}", "utf-8")
        browser = browsers.start(playwright)
        if browser is None:
            sys.exit("there is no browser: python -m playwright install chromium")
        page = browser.new_page(viewport=SIZE)
        page.goto(path.as_uri())
        page.wait_for_selector("[data-is=pictures] canvas")
        frames = record(page)
        browser.close()
    write(frames, FILM)
    seconds = frames[-1][0] - frames[0][0]
    kilobytes = FILM.stat().st_size // 1000
    print(f"{len(frames)} frames of {seconds:.1f} s, {kilobytes} kB: {FILM}")


if __name__ == "__main__":
    main()
