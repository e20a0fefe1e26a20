"""docs/first_screen.html, the file with which README begins."""

import base64
import gzip
import importlib
import re

from conftest import ROOT

FILE = ROOT / "docs" / "first_screen.html"
PACKED = re.compile('(?<="packed":")[^"]+')


def unpacked(page):
    """A page with its packed digits as they are, which zlib may pack in several ways."""
    return PACKED.sub(lambda match: gzip.decompress(base64.b64decode(match[0])).hex(), page)


def test_it_is_what_the_package_would_write_now(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    written = FILE.read_text("utf-8")
    now = importlib.import_module("first_screen").page()
    assert PACKED.search(written)
    assert unpacked(written) == unpacked(now)  # else: python docs/first_screen.py


def test_networks_grow_up_in_it_without_a_network(used_page):
    asked = []
    used_page.on("request", lambda request: asked.append(request.url))
    used_page.goto(FILE.as_uri())
    used_page.locator("[data-is=start]").first.click()
    used_page.locator("[data-is=large] path.thin").first.wait_for(state="attached")
    assert {address.partition(":")[0] for address in asked} <= {"file", "data", "blob"}
