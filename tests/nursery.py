"""The screen on which networks grow up, for its tests: short lives, its pages, what is pressed."""

import contextlib

import pytest
from browser import open_anew, plain_page
from conftest import tell_python

from cplab.lab import growing, tiny
from cplab.teach import site

LAPTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 768}
SHORT = {"length": 12, "recovery": 8, "digits": 100}  # epochs, so that the tests take seconds
POINT = tiny.PLACE | {"onset": 3, "length": 7, "recovery": 6, "digits": 100, "layers": 1}


# Pages --------------------------------------------------------------------------------------------


def short_lives():
    """What a screen holds whose two networks have short lives."""
    return tiny.content(networks=2) | {"place": tiny.PLACE | SHORT, "window": 20}


def front_page(folder):
    """The address of the site's front page, as a file, with short lives."""
    path = folder / "index.html"
    content = short_lives()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "content", lambda: content)
        site.write_page(path, site.front({}), '<a href="index.html">cplab</a>')
    return path.as_uri()


def document(body):
    """A page of HTML with the screen's program below its body."""
    return f"<!doctype html><meta charset=utf-8>{body}<script>{tiny.SCRIPT}</script>"


def write_document(folder, body):
    """Write such a page into a folder, and give its address."""
    path = folder / "page.html"
    path.write_text(document(body), "utf-8")
    return path.as_uri()


@contextlib.contextmanager
def opened(chromium, address, **options):
    """A page with a screen, on a laptop unless told else. An error of its scripts fails a test."""
    with plain_page(chromium, **{"viewport": LAPTOP} | options) as page:
        page.goto(address)
        page.wait_for_selector("[data-is=pictures] canvas")
        yield page


# The screens that go train no more, and what they and the tab know is forgotten.
RENEW = """() => {
  for (const screen of document.querySelectorAll("cplab-nursery")) {
    for (const task of screen.tasks.values()) task.training?.stop();
    screen.tasks.clear();
  }
  cplabNurseries.clear();
  sessionStorage.clear();
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


def train(page):
    """Press Train, wait for the end, and give the headline."""
    page.locator("[data-is=pictures] canvas").first.wait_for()
    page.locator("[data-is=start]").first.click()
    page.locator("[data-is=progress]").first.wait_for(state="hidden")
    return page.locator("[data-is=head]").first.inner_text()


def choose(page, **change):
    """Set knobs to values that they do not offer."""
    page.evaluate("(change) => document.querySelector('cplab-nursery').choose(change)", change)


# Screens in Python --------------------------------------------------------------------------------


@contextlib.contextmanager
def new_start():
    """A start of Python in which nothing was trained."""
    with pytest.MonkeyPatch.context() as patch:
        start = growing.Growing()
        patch.setattr(tiny, "GROWING", start)
        yield start


def screen(has=None, **options):
    """A screen that its page, which has some networks, has greeted, and the messages that it sends
    to the page."""
    nursery = tiny.Nursery(**options)
    messages = []
    nursery.link.send = messages.append
    tell_python(nursery.link, {"hello": True, "has": has or {}})
    return nursery, messages


def ask(nursery, point, key="here"):
    """Press Train at a point."""
    tell_python(nursery.link, {"train": point, "key": key, "words": f"words of {key}"})


def endings(messages):
    """What a page was told of each wish that has ended, by its key."""
    return {message["ended"]: message for message in messages if "ended" in message}
