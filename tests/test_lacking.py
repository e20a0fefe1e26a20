"""A page whose browser lacks something says so within two seconds, and does what is left."""

import re
from contextlib import ExitStack

import nbformat
import pytest
from browser import plain_page
from nbformat import v4
from nursery import (
    ended,
    front_page,
    opened_anew,
    short_lives,
    train,
    write_document,
)

from cplab import teach
from cplab.lab import tiny
from cplab.labs import lab00
from cplab.quantities import harm
from cplab.teach import site

UNSAFE = "'self' 'unsafe-inline' data:"
POLICY = f"default-src {UNSAFE} 'unsafe-eval'; worker-src 'none'"
STRICT = f"default-src {UNSAFE}"  # which allows no workers and no WebAssembly
SOON = 2000  # milliseconds, in which there are words
HERE = "in the page itself"
# Whether a press is no longer the second of a double one
PRESS_COUNTS = "performance.now() > document.querySelector('cplab-nursery').training.began + 600"
DYING = """Worker = class {
  postMessage() { setTimeout(() => this.onerror({message: "out of memory"})); }
  terminate() {}
}"""
DYING_LATER = """Worker = class {
  postMessage() {
    setTimeout(() => this.onmessage({data: {seed: 0, window: -1, age: 0, right: 9, own: 9}}));
    setTimeout(() => this.onerror({message: "out of memory"}), 100);
  }
  terminate() {}
}"""


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    """The front page, with short lives."""
    folder = tmp_path_factory.mktemp("site")
    front_page(folder)
    return folder / "index.html"


@pytest.fixture
def open_page(chromium, front):
    """A function that opens the page after a script has run there, or another page in its place."""
    with ExitStack() as pages:

        def open_page(script="", path=front, **options):
            page = pages.enter_context(plain_page(chromium, **options))
            page.add_init_script(script)
            page.goto(path.as_uri())
            return page

        yield open_page


def status_after_a_press(page):
    """What stands beside the button soon after a press."""
    page.wait_for_selector("[data-is=pictures] canvas")
    page.click("[data-is=start]")
    status = page.locator("[data-is=status]:not(:empty)")
    status.wait_for(timeout=SOON)
    return status.inner_text()


@pytest.fixture(scope="module")
def usual(chromium, front):
    """What a page that lacks nothing says in the end."""
    with plain_page(chromium) as page:
        page.goto(front.as_uri())
        yield train(page)


def test_without_workers_the_page_trains_the_same_networks(open_page, usual):
    page = open_page("delete globalThis.Worker")
    assert HERE in status_after_a_press(page)
    assert ended(page) == usual
    assert "points" in usual


def under_policy(front, policy):
    """The front page under a policy of what it may do."""
    forbidding = front.with_name("policy.html")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    forbidding.write_text(front.read_text("utf-8").replace("<head>", f"<head>{meta}", 1), "utf-8")
    return forbidding


def test_where_a_policy_forbids_workers_the_page_trains(open_page, front, usual):
    page = open_page(path=under_policy(front, POLICY))
    assert HERE in status_after_a_press(page)
    assert ended(page) == usual


def test_where_workers_die_at_their_start_the_page_trains(open_page, usual):
    page = open_page(DYING)
    assert HERE in status_after_a_press(page)
    assert ended(page) == usual


@pytest.fixture(scope="module")
def bereft(chromium, front):
    """The page after a press, once its worker has died."""
    with plain_page(chromium) as page:
        page.add_init_script(DYING_LATER)
        page.goto(front.as_uri())
        status_after_a_press(page)
        yield page


def test_where_a_worker_dies_later_its_reason_is_said(bereft):
    assert "out of memory" in bereft.inner_text("[data-is=status]")


def test_where_a_worker_dies_later_the_button_trains_again(bereft):
    assert bereft.inner_text("[data-is=start]").startswith("Train")


def test_a_page_can_be_stopped_while_it_trains_itself(open_page):
    page = open_page("delete globalThis.Worker")
    page.evaluate("document.querySelector('cplab-nursery').content.networks = 500")
    status_after_a_press(page)
    page.wait_for_function(PRESS_COUNTS)
    page.click("[data-is=start]")  # long before 500 networks have grown up
    assert "stopped" in page.inner_text("[data-is=status]")
    page.wait_for_timeout(300)
    assert page.locator("path.spoilt").count() == 0


@pytest.fixture(scope="module", params=["removed", "forbidden"])
def untrained(request, chromium, front):
    """A page whose browser cannot train: it has no WebAssembly, or a policy forbids it."""
    path = under_policy(front, STRICT) if request.param == "forbidden" else front
    with plain_page(chromium) as page:
        if request.param == "removed":
            page.add_init_script("delete globalThis.WebAssembly")
        page.goto(path.as_uri())
        page.wait_for_selector("[data-is=pictures] canvas")
        yield page


def test_where_nothing_can_be_trained_a_sentence_says_why(untrained):
    assert "WebAssembly" in untrained.inner_text("[data-is=status]")
    assert untrained.is_disabled("[data-is=start]")


def test_where_nothing_can_be_trained_the_page_shows_what_came_with_the_lab(untrained):
    early = harm(lab00.childhood())
    assert f"{early}".strip() == untrained.text_content("[data-is=large] .harm")
    assert f"{early}" in untrained.inner_text("[data-is=head]")


def test_without_scripts_a_sentence_stands_where_the_screen_would(open_page):
    page = open_page(java_script_enabled=False)
    assert page.get_by_text(tiny.STILL).is_visible()


def test_a_link_to_python_that_never_comes_leaves_the_page_working(used_page, tmp_path):
    """As where a notebook forbids the widget's module."""
    address = write_document(tmp_path, tiny.page(short_lives(), "nobody"))
    page = opened_anew(used_page, address)
    assert "points" in train(page)


def test_a_page_that_cannot_begin_says_why(open_page):
    page = open_page("globalThis.atob = () => { throw new Error('no base64') }")
    alert = page.locator("cplab-nursery [role=alert]")
    alert.wait_for(timeout=SOON)
    assert "no base64" in alert.inner_text()


def test_where_python_cannot_train_the_first_screen_is_there_again(monkeypatch):
    """At one of the runs that Python would train."""
    monkeypatch.setenv("CPLAB_TRAINS", "no")
    runs = [lab00.childhood(onset=age, length=150) for age in (0, 5, 20, 80)]
    screen = lab00.grow(runs)
    [window] = screen.content["windows"]
    assert (window["onset"], window["length"]) == (20, 150)


def test_a_cell_may_have_another_text_on_a_page():
    cell = v4.new_markdown_cell("The next cell trains.", metadata={"page": "Press Train."})
    [written] = site.fit_for_a_page(v4.new_notebook(cells=[cell])).cells
    assert written.source == "Press Train."


PHONE = {"width": 390, "height": 844}


def test_long_lines_of_code_can_be_scrolled_to_their_end_on_a_phone(chromium, tmp_path):
    notebook = v4.new_notebook(cells=[v4.new_code_cell(f"pixels = {list(range(99))}")])
    path = tmp_path / "page.html"
    site.write_page(path, notebook, "")
    with plain_page(chromium, viewport=PHONE) as page:
        page.goto(path.as_uri())
        code = page.locator("details.code")
        code.locator("summary").click()
        code.hover()
        page.mouse.wheel(10_000, 0)
        page.wait_for_function("document.querySelector('details.code').scrollLeft > 0")


def test_formulas_are_no_wider_than_a_phone(chromium, tmp_path):
    cells = []
    for lab in teach.labs():
        for cell in nbformat.read(lab, 4).cells:
            if cell.cell_type == "markdown":
                blocks = re.findall(r"\$\$.+?\$\$", cell.source, re.S)
                cells += [v4.new_markdown_cell(block) for block in blocks]
    path = tmp_path / "page.html"
    site.write_page(path, v4.new_notebook(cells=cells), "")
    with plain_page(chromium, viewport=PHONE) as page:
        page.goto(path.as_uri())
        wide = page.evaluate(
            "[...document.querySelectorAll('math')].filter((m) => m.scrollWidth > m.clientWidth)"
            ".map((m) => m.textContent)"
        )
    assert wide == []


NOTEBOOK_ONLY = ("The next cell trains", "Write it into the function", "to the figure below")


@pytest.mark.parametrize("number", ["00", "08"])
def test_a_page_asks_for_nothing_that_only_a_notebook_can_do(number):
    [lab] = teach.labs(number)
    page = site.fit_for_a_page(nbformat.read(lab, 4))
    text = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    text, _, _ = text.partition(site.NEED_PYTHON)  # what follows are exercises
    assert [words for words in NOTEBOOK_ONLY if words in text] == []
