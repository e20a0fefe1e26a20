"""What a built site weighs and how quick it is, and pictures of it: python -m benchmarks.pages DIR.

Each page is opened from the disk in headless Chromium. A page's weight is that of all its files,
each gzipped; the first picture is timed from the start of loading, a move until the second frame
after it. Pictures are of practice images alone, as all that `cplab site` writes.
"""

import argparse
import gzip
import re
import shutil
import statistics
from pathlib import Path
from typing import Any

MOVE = """key => new Promise(done => {
  const input = document.querySelector('section.widget input[type=range]');
  const last = +input.max, now = +input.value, begun = performance.now();
  input.value = now < last ? now + 1 : 0;
  input.dispatchEvent(new Event('input', {bubbles: true}));
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));
})"""
DRAWN = """() => new Promise(done => {
  const look = () => document.querySelector('.plot svg') ? done(performance.now())
    : requestAnimationFrame(look);
  look();
})"""
SCREENS: dict[str, dict[str, Any]] = {
    "laptop": {"viewport": {"width": 1366, "height": 768}},
    "phone": {"viewport": {"width": 360, "height": 740}},
    "dark": {"viewport": {"width": 1366, "height": 768}, "color_scheme": "dark"},
}


def weight(page: Path) -> int:
    """Bytes of a page with its own files, gzipped."""
    text = page.read_text(encoding="utf-8")
    names = re.findall(r'(?:src|href)="((?:data/)?[\w-]+\.(?:js|css))"', text)
    files = [page, *(page.parent / name for name in dict.fromkeys(names))]
    return sum(len(gzip.compress(file.read_bytes(), 9)) for file in files)


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("folder", type=Path, help="what `cplab site` has written")
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots of each page")
    given = parser.parse_args(args)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path)
        for page in sorted(given.folder.glob("*.html")):
            print(measure(browser, page))
            for name, how in SCREENS.items() if given.pictures else ():
                given.pictures.mkdir(parents=True, exist_ok=True)
                with browser.new_context(reduced_motion="reduce", **how).new_page() as shown:
                    shown.goto(page.absolute().as_uri())
                    shown.wait_for_load_state()
                    shown.screenshot(path=given.pictures / f"{page.stem}-{name}.png")
        browser.close()


def measure(browser: Any, page: Path) -> str:
    """A page in one line: its weight, and times with what they take of a processor, which a busy
    machine does not change."""
    said = f"{page.name:<34}{weight(page) / 1000:7.0f} kB"
    with browser.new_page() as shown:
        told = shown.context.new_cdp_session(shown)
        told.send("Performance.enable", {"timeDomain": "threadTicks"})

        def processor() -> float:
            found = told.send("Performance.getMetrics")["metrics"]
            return next(1000 * one["value"] for one in found if one["name"] == "ThreadTime")

        shown.goto(page.absolute().as_uri())
        if not shown.locator("section.widget").count():
            return said
        first, busy = shown.evaluate(DRAWN), processor()
        said += f"   first picture {first:5.0f} ms, {busy:.0f} of a processor"
        if shown.locator("section.widget input[type=range]").count():
            moves = [shown.evaluate(MOVE) for _ in range(20)]
            each = (processor() - busy) / len(moves)
            said += f"   a move {statistics.median(moves):4.0f} ms, {each:.0f} of a processor"
    return said


if __name__ == "__main__":
    main()
