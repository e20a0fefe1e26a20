"""A page whose browser lacks something says so within two seconds, and does what is left."""

import re

import nbformat
import pytest
from browser import open_anew, plain_page
from nbformat import v4
from nursery import ended, opened_anew, short_lives, train, write_document

from cplab import teach
from cplab.lab.nursery import nursery
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
DYING = """void (Worker = class {
  postMessage() { setTimeout(() => this.onerror({message: "out of memory"})); }
  terminate() {}
})"""
DYING_LATER = """void (Worker = class {
  postMessage() {
    const test = {seed: 0, window: -1, age: 0, right: 9, own: 9, known: [], distances: []};
    setTimeout(() => this.onmessage({data: test}));
    setTimeout(() => this.onerror({message: "out of memory"}), 100);
  }
  terminate() {}
})"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page whose link to Python never comes, as where a notebook forbids the widget's module."""
    return write_document(tmp_path_factory.mktemp("page"), nursery.page(short_lives(), "nobody"))


@pytest.fixture
def page(used_page, address):
    """This page, whose scripts are loaded anew after what a test has done to them."""
    yield opened_anew(used_page, address)
    used_page.goto("about:blank")


def under_policy(page, folder, policy):
    """A page under a policy of what it may do."""
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    address = write_document(folder, f"<head>{meta}</head>{nursery.page(short_lives())}")
    return opened_anew(page, address)


def status_after_a_press(page):
    """What stands beside the button soon after a press."""
    page.click("[data-is=start]")
    status = page.locator("[data-is=status]:not(:empty)")
    status.wait_for(timeout=SOON)
    return status.inner_text()


@pytest.fixture(scope="module")
def usual(used_page, address):
    """What a page that trains in workers says in the end."""
    return train(opened_anew(used_page, address))


def test_a_link_to_python_that_never_comes_leaves_the_page_working(usual):
    assert "points" in usual


def test_where_a_policy_forbids_workers_the_page_trains_the_same_networks(
    used_page, tmp_path, usual
):
    page = under_policy(used_page, tmp_path, POLICY)
    assert HERE in status_after_a_press(page)
    assert ended(page) == usual


def test_where_workers_die_at_their_start_the_page_trains(page, usual):
    page.evaluate(DYING)
    assert HERE in status_after_a_press(page)
    assert ended(page) == usual


def test_where_a_worker_dies_later_its_reason_is_said_and_the_button_trains_again(page):
    page.evaluate(DYING_LATER)
    page.click("[data-is=start]")
    page.locator("[data-is=status]", has_text="out of memory").wait_for()
    assert page.inner_text("[data-is=start]").startswith("Train")


def test_a_page_can_be_stopped_while_it_trains_itself(page):
    page.evaluate(DYING)
    page.evaluate("document.querySelector('cplab-nursery').content.networks = 500")
    status_after_a_press(page)
    page.wait_for_function(PRESS_COUNTS)
    page.click("[data-is=start]")  # long before 500 networks have grown up
    assert "stopped" in page.inner_text("[data-is=status]")
    page.wait_for_timeout(300)
    assert page.locator("path.spoilt").count() == 0


@pytest.mark.parametrize("lacks", ["its policy forbids", "it has no"])
def test_where_nothing_can_be_trained_the_page_says_why_and_shows_what_came_with_the_lab(
    lacks, page, address, tmp_path
):
    """There is no WebAssembly."""
    if lacks == "it has no":
        page.evaluate("delete globalThis.WebAssembly")
        opened_anew(page, address)
    else:
        under_policy(page, tmp_path, STRICT)
    assert "WebAssembly" in page.inner_text("[data-is=status]")
    assert page.is_disabled("[data-is=start]")
    early = harm(lab00.childhood())
    assert f"{early}".strip() == page.text_content("[data-is=large] .harm")
    assert f"{early}" in page.inner_text("[data-is=head]")


def test_without_scripts_a_sentence_stands_where_the_screen_would(chromium, address):
    with plain_page(chromium, java_script_enabled=False) as page:
        page.goto(address)
        assert page.get_by_text(nursery.STILL).is_visible()


def test_a_page_that_cannot_begin_says_why(page):
    page.evaluate("void (atob = () => { throw new Error('no base64') })")
    page.evaluate("document.body.innerHTML = unopened")
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


def test_long_lines_of_code_can_be_scrolled_to_their_end_on_a_phone(used_page, tmp_path):
    notebook = v4.new_notebook(cells=[v4.new_code_cell(f"pixels = {list(range(99))}")])
    path = tmp_path / "page.html"
    site.write_page(path, notebook, "")
    used_page.set_viewport_size(PHONE)
    open_anew(used_page, path.as_uri())
    code = used_page.locator("details.code")
    code.locator("summary").click()
    code.hover()
    used_page.mouse.wheel(10_000, 0)
    used_page.wait_for_function("document.querySelector('details.code').scrollLeft > 0")


def test_formulas_are_no_wider_than_a_phone(used_page, tmp_path):
    cells = []
    for lab in teach.labs():
        for cell in nbformat.read(lab, 4).cells:
            if cell.cell_type == "markdown":
                blocks = re.findall(r"\$\$.+?\$\$", cell.source, re.S)
                cells += [v4.new_markdown_cell(block) for block in blocks]
    path = tmp_path / "page.html"
    site.write_page(path, v4.new_notebook(cells=cells), "")
    used_page.set_viewport_size(PHONE)
    open_anew(used_page, path.as_uri())
    wide = used_page.evaluate(
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
