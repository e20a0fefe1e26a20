"""The screen on which networks grow up, for its tests: short lives, its pages, what is pressed."""

import pytest
from browser import open_anew

from cplab.lab.nursery import nursery
from cplab.teach import site

LAPTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 768}
SHORT = {"recovery": 8, "digits": 100}  # epochs and digits, so that the tests take seconds
LENGTH = 12


# Pages --------------------------------------------------------------------------------------------


def short_lives(**options):
    """What a screen holds whose two networks have short lives: a second window begins after 5
    epochs."""
    content = nursery.content(networks=2, **options)
    content["knobs"] |= SHORT
    content["latest"] = 20
    content["second"] = {"onset": 5}
    for window in content["windows"]:
        window["length"] = LENGTH
    for window in content["windows"][1:]:
        window["onset"] = 5
    return content


def front_page(folder, **options):
    """The address of the site's front page, as a file, with short lives."""
    path = folder / "index.html"
    content = short_lives(**options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nursery, "content", lambda **_: content)
        site.write_page(path, site.front({}), '<a href="index.html">cplab</a>')
    return path.as_uri()


def write_document(folder, body):
    """Write a page with the screen's program below its body into a folder, and give its address."""
    path = folder / "page.html"
    page = f"<!doctype html><meta charset=utf-8>{body}<script>{nursery.SCRIPT}</script>"
    path.write_text(page, "utf-8")
    return path.as_uri()


# The screens that go leave nothing to those that come.
RENEW = """() => {
  for (const screen of document.querySelectorAll("cplab-nursery")) {
    screen.training?.growing.stop();
    screen.training = null;
    screen.trained = new Map();
    Object.assign(screen, {windows: screen.content.windows, knobs: screen.content.knobs});
  }
  document.body.innerHTML = unopened;
  scrollTo(0, 0);
}"""


def opened_anew(page, address):
    """A page that another test has used, with a screen where nothing was trained. If it is at this
    address, only its body is made anew: no script has to be compiled again."""
    page.set_viewport_size(LAPTOP)
    if page.url == address:
        page.mouse.move(0, 0)
        page.evaluate(RENEW)
    else:
        open_anew(page, address)
    page.wait_for_selector("[data-is=pictures] canvas")
    return page


ENDED = "[...document.querySelectorAll('cplab-nursery')].every((screen) => !screen.training)"


def ended(page):
    """Wait until all networks have grown up, and give the headline."""
    page.wait_for_function(ENDED)
    return page.locator("[data-is=head]").first.inner_text()


def train(page):
    """Press Train, wait for the end, and give the headline."""
    page.locator("[data-is=pictures] canvas").first.wait_for()
    page.locator("[data-is=start]").first.click()
    return ended(page)


def screen_of(page, what):
    """What the screen of a page is or does, in JavaScript."""
    return page.evaluate(f"document.querySelector('cplab-nursery').{what}")


def unfold(page):
    """Open the fold with everything else."""
    page.locator("[data-is=more] > summary").click()
