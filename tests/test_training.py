"""Live training: what a press trains, what a page is told meanwhile, how long it says it takes."""

import time
from dataclasses import replace

import nbformat
import pytest
from browser import jupyterlab, open_notebook, plain_page
from comm.base_comm import BaseComm
from IPython.core.formatters import DisplayFormatter
from playwright.sync_api import expect

import cplab
from cplab import Run, lab, results
from cplab.lab import jobs, missing
from cplab.lab.jobs import Clock, Throttle
from cplab.labs import lab05, lab09

TINY = Run("mosaic", length=150, recovery=50, profile="tiny")


def parts(net, images):
    return len(list(net.parameters()))


@pytest.fixture
def messages(monkeypatch):
    """A list that grows by each message to the page."""
    sent = []
    for kind in [BaseComm, *BaseComm.__subclasses__()]:  # with a kernel, without one
        monkeypatch.setattr(kind, "publish_msg", lambda self, kind, **how: sent.append(kind))
    return sent


@pytest.fixture
def burst(monkeypatch):
    """Training that reports all epochs of all networks in a second, in bursts, as workers do."""

    def collect(runs, measure=(), *, report, **how):
        for turn in range(5):
            for run in runs:
                for epoch in range(turn * run.epochs // 5, (turn + 1) * run.epochs // 5):
                    report(run, {"epoch": epoch, "test_accuracy": epoch / run.epochs})
            time.sleep(0.2)
        yield from ()

    monkeypatch.setattr(results, "collect", collect)


class Hands:
    """A clock that a test moves."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(jobs.time, "monotonic", lambda: self.now)


@pytest.fixture
def hands(monkeypatch):
    return Hands(monkeypatch)


# What a page is told ------------------------------------------------------------------------------


def assert_few(messages, seconds):
    """There are no more than some each second, and some at the start and at the end."""
    assert 0 < len(messages) <= 12 + 16 * seconds


@pytest.mark.usefixtures("nothing_shipped", "burst")
def test_eighty_networks_tell_the_page_few_things_a_second(messages):
    runs = [replace(TINY, seed=seed) for seed in range(80)]
    job = lab.live({"blurred": runs}, draw=lambda lines: "<p>drawn</p>")
    messages.clear()
    began = time.monotonic()
    job.press()
    assert job.wait(100)
    assert_few(messages, time.monotonic() - began)


@pytest.mark.usefixtures("nothing_shipped", "burst")
def test_an_explorer_that_trains_five_seeds_tells_the_page_few_things_a_second(messages):
    explorer = cplab.Explorer("ci", schedule="fixed", onset=2, length=2, recovery=400)
    explorer.choose(count=5)
    messages.clear()
    began = time.monotonic()
    explorer.train()
    assert explorer.wait(100)
    assert_few(messages, time.monotonic() - began)


@pytest.mark.usefixtures("nothing_shipped", "burst")
def test_a_treatment_of_lab_09_and_its_controls_tell_the_page_few_things_a_second(messages):
    treated = Run("blur", length=160, recovery=150, treatments="renorm@80")
    job = lab.live(lab09.with_controls(treated), draw=lambda lines: "<p>drawn</p>")
    messages.clear()
    began = time.monotonic()
    job.press()
    assert job.wait(100)
    assert_few(messages, time.monotonic() - began)


@pytest.mark.usefixtures("nothing_shipped", "burst")
def test_what_a_changed_cell_lacks_tells_the_page_few_things_a_second(messages):
    job = missing.offer([(replace(TINY, onset=onset), ()) for onset in range(20)])
    messages.clear()
    began = time.monotonic()
    job.press()
    assert job.wait(100)
    assert_few(messages, time.monotonic() - began)


def test_what_grows_and_is_pruned_tells_the_page_few_things_a_second(messages, monkeypatch):
    """Lab 05's bench, at whatever speed its search goes."""

    def compute(*, report, keep, **how):
        for step in range(1, 5001):
            report({"step": step, "steps": 5000, "pixels": lab05.EMPTY})
        return {"architectures": {f"{keep[0]:g}": {"alive": "", "accuracy": 0.5}}}

    monkeypatch.setattr(lab05.search, "compute", compute)
    monkeypatch.setattr(lab05, "draw_search", lambda *given: "<p>drawn</p>")
    monkeypatch.setattr(lab05, "count_by_pixel", lambda alive: lab05.EMPTY)
    job = lab05.grow_and_prune("practice")
    messages.clear()
    began = time.monotonic()
    job.press()
    assert job.wait(100)
    assert_few(messages, time.monotonic() - began)


@pytest.mark.usefixtures("nothing_shipped", "burst")
def test_the_last_state_of_a_burst_arrives():
    runs = [replace(TINY, seed=seed) for seed in range(80)]
    drawn = []
    job = lab.live({"blurred": runs}, draw=lambda lines: drawn.append(lines) or "<p>drawn</p>")
    told = []
    job.link.observe(lambda change: told.append(change.new.get("done", 0)), "live")
    job.press()
    assert job.wait(100)
    assert max(told) == 80 * 200
    assert [line.shape for line in drawn[-1]["blurred"]] == [(2, 200)] * 80


def test_a_throttle_draws_rarely_and_the_last_change_in_any_case():
    seen, state = [], [0]
    throttle = Throttle(lambda: seen.append(state[0]), seconds=0.05)
    began = time.monotonic()
    for number in range(1, 20_001):
        state[0] = number
        throttle()
    took = time.monotonic() - began
    while seen[-1:] != [20_000] and time.monotonic() < began + 20:
        time.sleep(0.01)
    assert seen[-1] == 20_000
    assert len(seen) <= 3 + took / 0.05


def test_a_throttle_is_finished_once_the_last_change_is_drawn():
    seen, state = [], [0]
    throttle = Throttle(lambda: seen.append(state[0]), seconds=60)
    for number in (1, 2, 3):
        state[0] = number
        throttle()
        throttle.finish()
        assert seen[-1] == number


# How long it takes --------------------------------------------------------------------------------


def bursts(hands, clock, seconds):
    """Report the epochs of 40 networks, two at a time, all at once when the two have ended. Yields
    the time left that is said before and after each burst, and the true one."""
    step = seconds / 20
    for burst in range(20):
        for _ in range(8):  # looked at between two bursts
            hands.now += step / 8
            yield clock.left, seconds - hands.now, clock.message
        for epoch in range(2 * 160):
            clock(TINY, {"epoch": epoch % 160})
            hands.now += 1e-6
        assert clock.done == (burst + 1) * 320
        yield clock.left, seconds - hands.now, clock.message


@pytest.mark.parametrize("expected", [None, 15, 200])
def test_time_left_is_about_right_though_reports_come_in_bursts(hands, expected):
    clock = Clock(40 * 160, expected)
    for left, truly, _ in bursts(hands, clock, 60):
        if 15 < 60 - truly < 54:
            assert truly / 2 < left < 2 * truly


@pytest.mark.parametrize("expected", [None, 5])
def test_nothing_is_nearly_done_before_nine_tenths_are(hands, expected):
    clock = Clock(40 * 160, expected)
    said = {message: clock.done for *_, message in bursts(hands, clock, 60)}
    early = [done for message, done in said.items() if "nearly done" in message]
    assert min(early, default=clock.epochs) >= 0.9 * clock.epochs


def test_before_the_first_epoch_it_says_what_was_expected_or_that_nothing_tells():
    assert "0 of 100 epochs: the first ones show" in Clock(100).message
    assert "about 50 seconds left" in Clock(100, 50.0).message


# A page on Colab, which a test plays -------------------------------------------------------------

MODEL = """globalThis.sent = []; globalThis.gone = false; globalThis.cplabLinks = {NAME: {
  values: {state: {}, live: {}, content: ""}, heard: {},
  get(name) { return this.values[name]; },
  on(kind, heard) { (this.heard[kind] ??= []).push(heard); },
  send(message) { if (gone) throw Error("no kernel"); sent.push(message); }, set() {},
  save_changes() {},
}};
globalThis.tell = (live) => { const model = cplabLinks.NAME;
  model.values.live = live; model.heard["change:live"].forEach((hear) => hear()); };"""


def test_on_colab_a_page_asks_for_news_as_long_as_python_works(chromium):
    job = lab.live({"a": TINY})
    script = MODEL.replace("NAME", f"n{job.link.name}")
    page_of_job = job.page().replace(job.link.name, f"n{job.link.name}")
    with plain_page(chromium) as page:
        page.set_content(f"<script>{script}</script>{page_of_job}<script>{jobs.SCRIPT}</script>")
        page.evaluate("tell({busy: true, colab: true, done: 0, epochs: 9})")
        page.wait_for_function("sent.filter((message) => message.wait).length > 2", timeout=9000)
        page.evaluate("tell({message: 'trained', colab: true})")
        asked = page.evaluate("sent.length")
        page.wait_for_timeout(1500)
        assert page.evaluate("sent.length") == asked


# What is trained ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_shipped")
def test_a_figure_grows_while_its_runs_are_trained_and_none_is_trained_twice(monkeypatch):
    monkeypatch.setattr("cplab.lab.training.DRAWN", 0)
    run = Run("blur", length=1, recovery=2, profile="ci")
    other, drawn = results.run(run, measure=parts), []

    def draw(lines):
        drawn.append({label: [len(x) for x, _ in group] for label, group in lines.items()})
        return "<p>drawn</p>"

    runs = {"blurred": [run, replace(run, seed=1)], "clear": run.newborn()}
    job = lab.live(runs, parts, draw=draw)
    for _ in range(2):  # a double-click starts, and does not stop
        job.press()
    assert job.wait(100)
    assert drawn[0] == {"blurred": [3, 0], "clear": [0]}  # all lines, from the first drawing on
    assert drawn[-1] == {"blurred": [3, 3], "clear": [2]}
    assert "drawn" in job.picture
    assert "<p>drawn</p>" in DisplayFormatter().format(lab.live(runs, draw=draw))[0]["text/html"]
    assert results.find(run).curve == other.curve  # with its times


@pytest.mark.usefixtures("nothing_shipped")
def test_it_says_beforehand_that_nothing_tells_how_long_it_takes():
    never = Run("blur", length=1, recovery=2, profile="ci", model="allcnn-6")
    assert "not known" in lab.live({"wide": never}).message


@pytest.mark.usefixtures("nothing_shipped")
@pytest.mark.parametrize("spoils", ["the first line", "another", "all of them"])
def test_a_drawing_that_fails_says_so_and_training_goes_on(spoils):
    run = Run("blur", length=1, recovery=2, profile="ci")

    def draw(lines):
        [(_, values)] = lines["blurred"]
        if spoils == "the first line" and len(values) < 3:
            raise KeyError("b")
        if spoils != "the first line":
            raise ValueError(spoils)
        return "<p>drawn</p>"

    job = lab.live({"blurred": run}, draw=draw)
    job.press()
    assert job.wait(100)
    assert results.find(run)
    assert job.message.startswith("trained in")
    shown = "<p>drawn</p>" if spoils == "the first line" else f"ValueError: {spoils}"
    assert shown in job.picture


# In JupyterLab ------------------------------------------------------------------------------------

SETUP = """from dataclasses import replace
from cplab import Run, lab
run = Run("mosaic", length=1, recovery=1, profile="tiny")
long = Run("mosaic", length=9000, recovery=1, profile="tiny")"""
SHORT = 'lab.live({"blurred": [run, replace(run, seed=1)]})'
LONG = 'lab.live({"blurred": long})'


@pytest.fixture(scope="module")
def notebook(chromium, tmp_path_factory):
    """A notebook with two buttons, in JupyterLab."""
    folder = tmp_path_factory.mktemp("live")
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, SHORT, LONG)]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, folder / "live.ipynb")
    with jupyterlab(folder) as server, plain_page(chromium) as page:
        panel = open_notebook(page, server, "live.ipynb")
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        yield panel


def test_a_press_in_jupyterlab_trains_and_draws(notebook):
    shown = notebook.locator("cplab-train").first
    shown.get_by_role("button", name="Train").click()
    expect(shown.get_by_role("status")).to_contain_text("trained in")
    assert "blurred" in shown.locator("img").get_attribute("alt")


def test_what_is_counted_is_not_spoken(notebook):
    shown = notebook.locator("cplab-train").last
    shown.get_by_role("button", name="Train").click()
    expect(shown.locator("[data-is=count]")).to_contain_text("of 9,001 epochs")
    assert shown.get_by_role("status").inner_text() == ""
    shown.page.wait_for_timeout(600)  # a sooner press is the second of a double one
    shown.get_by_role("button", name="Stop").click()
    expect(shown.get_by_role("status")).to_contain_text("stopped")


def test_enter_that_is_held_presses_once(notebook):
    shown = notebook.locator("cplab-train").last
    button = shown.get_by_role("button", name="Train")
    button.focus()
    shown.page.wait_for_timeout(600)  # a press right after the last one is the second of a double
    for _ in range(6):
        notebook.page.keyboard.down("Enter")  # again and again, as a held key does
    notebook.page.keyboard.up("Enter")
    expect(shown.get_by_role("button", name="Stop")).to_be_visible()
    expect(shown.locator("[data-is=count]")).to_contain_text("of 9,001 epochs")


def test_after_a_restart_in_the_middle_it_says_so_by_itself(notebook):
    shown = notebook.locator("cplab-train").last
    expect(shown.get_by_role("button", name="Stop")).to_be_visible()
    notebook.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(shown.get_by_role("status")).to_contain_text("Python was restarted")
    assert not shown.get_by_role("button").is_visible()
