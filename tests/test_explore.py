"""The explorer: what it knows against results read by hand, live runs, and one tour in Chromium."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lab_browser import chromium
from scipy import stats

import cplab
from cplab import CplabError, Run, results
from cplab.lab import Live
from cplab.lab.explorer_data import Setting, describe_points
from cplab.runs import FLAGSHIP
from cplab.studies.eyes.bench import Clinic
from cplab.studies.eyes.quantities import MEASURES


@pytest.fixture(scope="module")
def setting():
    return Setting(FLAGSHIP)


def final(run, seeds=range(40)):
    """The accuracy of each seed of a run that was trained just so, in percent."""
    found = {seed: results.find(replace(run, seed=seed)) for seed in seeds}
    return {seed: 100 * result.accuracy for seed, result in found.items() if result}


# What is known ------------------------------------------------------------------------------------


def test_harm_of_each_point_is_that_of_its_results(setting):
    """By numpy and scipy from single results, where control and point were trained just so."""
    seen = 0
    for point in setting.points():
        run = setting.run_at(point, setting.like.recovery)
        own, clear = final(run), final(run.without_window())
        if not own or {*own} != {*setting.curves(point, run.recovery)}:
            continue
        if {*clear} != {*setting.clear(run.onset + run.recovery)}:
            continue  # longer clear lives say more
        harm = setting.harm(point, run.recovery)
        if run.onset == 0:
            both = [*clear.values()], [*own.values()]
            mean = np.mean(both[0]) - np.mean(both[1])
            low = stats.ttest_ind(*both, equal_var=False).confidence_interval(0.95).low
        else:
            pairs = np.array([clear[seed] - own[seed] for seed in clear.keys() & own.keys()])
            mean = pairs.mean()
            low = stats.ttest_1samp(pairs, 0).confidence_interval(0.95).low
        assert harm.mean == pytest.approx(mean, abs=1e-9)
        assert harm.mean - harm.half == pytest.approx(low, abs=1e-6, nan_ok=True)
        seen += 1
    assert seen


def test_a_shorter_recovery_is_the_beginning_of_a_longer_one():
    """At a fixed rate, whether a life was trained just so long or is a part of a longer one."""
    setting = Setting(FLAGSHIP)
    for point in setting.points():
        short = setting.run_at(point, 15)
        known = setting.level(point, 15).by_seed
        for seed, accuracy in final(short).items():
            assert known[seed] == pytest.approx(accuracy, abs=1e-9)


def test_where_a_life_stands_on_the_clear_curve():
    """On a straight line one point is one epoch, to half a read-out of five."""
    setting = Setting(FLAGSHIP)
    setting.mean_grey = np.arange(1.0, 101.0) - 2
    assert setting.clear_epochs_to(0, 60, 10.0) == pytest.approx(50)
    assert setting.clear_epochs_to(20, 40, 0.0) == pytest.approx(60)
    assert setting.clear_epochs_to(0, 60, -60.0) is None  # higher than it ever is


def test_what_is_said_fits_the_numbers(setting):
    """Behind, ahead or level, as the interval has it, in the headline and at the bracket."""
    for point in describe_points(setting, [d for d, _, _ in setting.points()]).values():
        for end in point["at"].values():
            if not end["harm"]:
                continue
            harm, half = end["harm"]
            sure = half is not None and abs(harm) > half
            side = "level" if half is not None and not sure else "behind" if harm > 0 else "ahead"
            assert side in end["head"]
            assert end["sign"] == (np.sign(harm) if sure else 0)
            said = re.search(r"harm (−?)([0-9.]+)", end["small"])
            assert float(said[2]) == pytest.approx(abs(harm), abs=0.051)


# Driven from Python -------------------------------------------------------------------------------


FIELDS = {"model": "depth3-16", "schedule": "fixed", "recovery": 60}


def test_it_opens_on_the_flagship_and_a_move_changes_the_run_and_the_words():
    explorer = cplab.Explorer()
    assert explorer.run == Run("blur", length=16, **FIELDS)
    late = explorer.words
    explorer.choose(onset=0, recovery=30)
    assert explorer.run == Run("blur", length=16, **FIELDS | {"recovery": 30})
    assert explorer.words != late
    explorer.choose(length=13)
    assert "Nobody has trained" in explorer.words


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"schedule": "paper"}, "schedule 'paper'"),
        ({"deficits": ("blurr",)}, "deficit 'blurr'"),
        ({"length": 0}, "length 0"),
        ({"windows": ("blank@8+4",)}, "windows"),
    ],
)
def test_what_cannot_be_explored_is_said_in_one_line(how, message):
    with pytest.raises(CplabError, match=r"^[^\n]*$") as error:
        cplab.Explorer(**how)
    assert message in str(error.value)


# Live ---------------------------------------------------------------------------------------------


@pytest.fixture
def small(nothing_shipped, own_cache, one_thread):
    """An explorer of a small setting of which nothing is known."""
    return cplab.Explorer("ci", schedule="fixed", onset=2, length=2, recovery=3)


def test_train_trains_the_point_first_and_then_its_controls(small):
    """The line grows from the first epoch on, and all is known in the end."""
    lives = []
    small.observe(lambda change: lives.append(change.new), "live")
    assert "Nobody" in small.words
    small.train()
    assert small.wait(120)
    grown = [len(live["accuracy"]) for live in lives if live.get("accuracy")]
    assert grown == sorted(grown)
    assert grown[-1] == 7
    assert lives[-1]["message"].startswith("live, seed 0")
    assert not lives[-1]["busy"]
    found = results.find(small.run)
    assert lives[-2]["accuracy"] == pytest.approx(100 * found.series("test_accuracy"))
    assert "one seed" in small.words.lower() or "1 seed" in small.words
    [[key, point]] = json.loads(small.content)["points"].items()
    assert key == "blur,2,2"
    assert point["at"]["3"]["harm"][1] is None


@pytest.mark.parametrize("kind", ["explorer", "live", "clinic"])
def test_what_another_notebook_trained_meanwhile_is_not_trained_again(small, kind):
    run, widget = small.run, small
    if kind == "live":
        widget = Live({"it": run}, lambda run: {}, ["test_accuracy"], measure=())
    elif kind == "clinic":
        widget = Clinic(profile="ci", schedule="fixed", recovery=2)
        run = widget.request
    other = results.run(run, measure=MEASURES if kind == "clinic" else ())
    start = small.train if widget is small else widget.job.start.click
    for same in (True, False):  # who asks again gets it again
        start()
        assert (small if widget is small else widget.job).wait(120)
        assert (results.find(run).curve == other.curve) == same  # with its times


def test_stop_ends_training_and_train_goes_on(small):
    small.observe(lambda change: small.stop() if change.new.get("accuracy") else None, "live")
    small.train()
    assert small.wait(120)
    assert small.live["message"].startswith("stopped")
    assert results.find(small.run) is None
    small.unobserve_all("live")
    small.train()
    assert small.wait(120)
    assert results.find(small.run)


# In a browser -------------------------------------------------------------------------------------

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Explorer</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>body {{ margin: 0; }}</style>{bokeh}</head><body><main><div id="at"></div></main>
<script type="module">{module}
revive({traits}, document.getElementById("at"));
</script></body></html>"""
COLUMNS = """([name]) => [...Bokeh.documents].flatMap((doc) => [...doc._all_models.values()])
  .filter((model) => model.name === name && model.data).map(({data}) => data)[0]"""
CELL = """([onset, length]) => {
  const map = [...Bokeh.index.query((v) => v.frame && v.model.x_range.factors)][0];
  const box = map.el.getBoundingClientRect(), {x_scale, y_scale} = map.frame;
  return [box.x + x_scale.compute(onset), box.y + y_scale.compute(length)];
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """An explorer of the flagship, and the file of a page without Python that shows it."""
    from bokeh.resources import INLINE

    explorer = cplab.Explorer()
    traits = json.dumps({"traits": explorer.saved()}).replace("</", "<\\/")
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    parts = {"bokeh": INLINE.render_js(), "module": explorer._esm, "traits": traits}
    path.write_text(PAGE.format(**parts), encoding="utf-8")
    return explorer, path


@pytest.fixture
def page(browser, written):
    """The page as it is at 1,180 pixels, the width of a cell's output on a laptop."""
    with browser.new_page(viewport={"width": 1180, "height": 640}) as one:
        errors = []
        one.on("pageerror", lambda error: errors.append(error))
        one.goto(written[1].as_uri())
        one.wait_for_function("globalThis.Bokeh?.documents?.length === 3")
        one.wait_for_function(f"({COLUMNS})(['own'])?.x?.length > 0")
        yield one
        assert errors == []


def columns(page, name):
    return page.evaluate(COLUMNS, [name])


def place(page):
    names = ("onset", "length", "recovery")
    return {name: int(page.locator(f"input.cplab-x-{name}").input_value()) for name in names}


def assert_says_what_python_does(page, explorer):
    explorer.choose(**place(page))
    head, small = (page.locator(f".cplab-x-{name}").inner_text() for name in ("head", "small"))
    assert explorer.words == f"{head} ({small})"


def test_keys_a_drag_and_clicks_move_it(page, written):
    explorer, _ = written
    assert_says_what_python_does(page, explorer)
    trained = {(o, n) for d, o, n in explorer.setting.points() if d == "blur"}
    keys = {"right": "ArrowRight", "block": "ArrowRight", "left": "ArrowLeft", "rest": "ArrowLeft"}
    for grip, key in keys.items():
        before = place(page)
        page.locator(f".cplab-x-grip.cplab-x-{grip}").press(key)
        now = place(page)
        assert now != before
        assert (now["onset"], now["length"]) in trained
        assert grip in ("block", "left") or now["onset"] == before["onset"]
        assert_says_what_python_does(page, explorer)
    page.locator("input.cplab-x-length").press("ArrowDown")
    assert_says_what_python_does(page, explorer)
    box = page.locator(".cplab-x-grip.cplab-x-block").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.mouse.down()
    seen = set()
    for step in range(12):  # it answers while it is dragged, at trained points alone
        page.mouse.move(box["x"] + box["width"] / 2 + 40 * (step - 6), box["y"] + 10)
        seen.add((place(page)["onset"], place(page)["length"]))
    page.mouse.up()
    assert len(seen) > 1
    assert seen <= trained
    page.mouse.move(box["x"], 5)
    for onset, length in (("0", "8"), ("24", "16")):
        page.mouse.click(*page.evaluate(CELL, [onset, length]))
        page.wait_for_function(f"document.querySelector('input.cplab-x-onset').value == {onset}")
        assert place(page)["length"] == int(length)
        assert_says_what_python_does(page, explorer)


def test_seeds_units_and_what_nobody_trained(page, written):
    explorer, _ = written
    curves = explorer.setting.curves(("blur", 0, 16), 60)
    mean = np.mean([curve[16:] for curve in curves.values()], axis=0)
    assert columns(page, "own")["mean"] == pytest.approx(mean, abs=0.051)
    page.locator("input.cplab-x-seeds").check()
    assert len(columns(page, "own seeds")["xs"]) == len(curves)
    page.get_by_role("button", name="clear epochs").click()
    bracket = columns(page, "bracket")
    stood = explorer.setting.clear_epochs_to(0, 60, explorer.setting.harm(("blur", 0, 16), 60).mean)
    assert (bracket["x0"][0], bracket["x1"][0]) == pytest.approx((stood, 60), abs=0.01)
    page.locator("input.cplab-x-onset").fill("3")
    page.locator("input.cplab-x-onset").press("Enter")
    assert "Nobody has trained" in page.locator(".cplab-x-head").inner_text()
    for name in ("own", "own seeds", "dip", "bracket", "tag"):
        assert not any(columns(page, name).values()), name
    assert len(columns(page, "grey")["x"]) > 60
    assert not page.locator(".cplab-x-train").is_visible()
    assert "needs Python" in page.locator(".cplab-x-message").inner_text()


GROUND = {"light": "#ffffff", "dark": "#111111"}


@pytest.mark.parametrize("scheme", GROUND)
@pytest.mark.parametrize("width", [1180, 390])
def test_it_fits_and_axe_finds_nothing(page, scheme, width):
    home = pytest.importorskip("axe_playwright_python", reason="pip install axe-playwright-python")
    page.set_viewport_size({"width": width, "height": 640})
    page.evaluate("bright => (document.body.dataset.jpThemeLight = bright)", scheme == "light")
    page.evaluate("dark => (document.body.style.background = dark)", GROUND[scheme])
    # figures follow the window in a moment, which may be long on a busy machine
    page.wait_for_function("wide => document.documentElement.scrollWidth <= wide", arg=width)
    high = page.evaluate("document.querySelector('.cplab-x').offsetHeight")
    assert high <= 600 or width == 390
    texts = """[...document.querySelectorAll(".cplab-x *")].map((one) =>
      parseFloat(getComputedStyle(one).fontSize))"""
    assert min(page.evaluate(texts)) >= 11
    page.evaluate((Path(home.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run('.cplab-x', {preload: false})")["violations"]
    serious = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []
