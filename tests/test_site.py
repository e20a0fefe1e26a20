"""The site: what it says in each state is what Python says there, in a browser and by keys."""

import contextlib
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import ipywidgets as w
import pytest
from lab_browser import chromium

from cplab import Run, cli, lab, show, teach
from cplab.checks import CplabError
from cplab.deficits import OWN_MARKERS
from cplab.lab.widgets import Question
from cplab.site.pages import build_site
from cplab.site.plots import Pool, figures
from cplab.site.replay import replay
from cplab.site.words import markdown
from cplab.studies import kitten as animals

DEFICITS = ("blur", "flip")
SETTING = {"model": "depth1", "schedule": "fixed", "deficits": DEFICITS}
T, Y = (45, 60, 105, 120, 285), (1.5, 2.2, 1.9, 1.1, 0.3)
ORDERED = {name: Run(name, length=16) for name in ("blur", "flip", "noise")}
CELLS = [
    "# Lab 00 · All that a lab may show\n\nYou can\n\n1. try each widget; $\\tau$ is a time.",
    "from cplab import Run, lab, show\nfrom cplab.studies import kitten as animals\n"
    "import pandas as pd\nprofile = 'ci'",
    "lab.Explorer(model='depth1', schedule='fixed', deficits=('blur', 'flip'))",
    "lab.choice('Is it so?', ['yes', 'no'], lambda: ['It is.', show.removal(Run(), ('blur',))])",
    "lab.Prediction({}, {'blur': [0.55, 0.57], 'flip': [0.61, 0.66]}, source='made up')",
    "lab.Ranking({n: Run(n, length=16) for n in ('blur', 'flip', 'noise')})",
    "lab.Switch(['blur', 'flip'], lambda name: show.removal(Run(), (name,)))",
    "curve = show.curves({'square': ([1, 2], [1, 4])}, 'x', 'y')\n"
    "lab.Slide(curve, [1, 2, 3], lambda n: {}, lambda n: f'{n} squared is {n * n}')",
    f"lab.Fitting(animals.decline, {T}, {Y}, {{'normal': 6, 'tau': 60}},"
    " {'normal': (2, 12), 'tau': (10, 400)})",
    "lab.Live({'blur': Run('blur', length=2, profile='ci')}, lambda run: {}, what=('train_loss',))",
    "lab.finding(lambda: 'Nothing & everything.')",
    "show.display(show.removal(Run(), ('blur',)))\nprint('printed <here>')",
    "pd.DataFrame({'a': [1, 2]})",
    "fig = show.curves({}, 'x', 'y')\n"
    "fig.multi_line([[0, 1], [0, 1, 2]], [[3, 4], [5, 6, 7]], color=['#aa0000', '#00aa00'])\n"
    "show.display(fig)",
    "## An end\n\n<details><summary>Solution</summary>\n\n**bold**\n\n```python\n1 < 2\n```\n"
    "</details>",
]


def test_a_page_draws_every_marker_that_a_deficit_may_have():
    code = Path(replay.__code__.co_filename).with_name("page.js").read_text("utf-8")
    markers = code[code.index("const MARKERS") : code.index("const LINES")]
    drawn = re.findall(r"^(?:  |MARKERS\.)(\w+)(?:: \(r\)| = )", markers, re.M)
    assert {"circle", *OWN_MARKERS} <= {*drawn}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the page of a notebook that has one widget of each kind."""
    home = tmp_path_factory.mktemp("site")
    cells = [
        {"cell_type": "code" if i not in (0, len(CELLS) - 1) else "markdown"}
        | {"metadata": {}, "source": text.splitlines(keepends=True), "id": f"c{i}"}
        for i, text in enumerate(CELLS)
    ]
    (home / "labs").mkdir()
    (home / "labs" / "00_all.ipynb").write_text(json.dumps({"cells": cells}))
    build_site(home / "out", "00", labs=home / "labs")
    return home / "out"


class Read:
    """A file of data, read as page.js reads it."""

    def __init__(self, path):
        text = path.read_text(encoding="utf-8").removeprefix("cplab(").rstrip().removesuffix(")")
        text = text.replace("{pool:", '{"pool":', 1).replace(",widgets:", ',"widgets":', 1)
        found = json.loads(text)
        self.pool, self.widgets = found["pool"], found["widgets"]

    @classmethod
    def of(cls, pool, widgets):
        made = cls.__new__(cls)
        made.pool, made.widgets = pool, widgets
        return made

    def whole(self, value):
        if isinstance(value, str) and value.startswith("¤"):
            return self.whole(self.pool[int(value[1:])])
        if isinstance(value, list):
            return [self.whole(one) for one in value]
        if isinstance(value, dict):
            return {name: self.whole(one) for name, one in value.items()}
        return value

    def state(self, spec, *positions):
        """The parts that are seen where the controls stand so."""
        parts = []
        for slot in spec["slots"]:
            place = 0
            for size, position in zip(slot["shape"], positions, strict=True):
                place = place * size + (0 if size == 1 else position)
            parts.append(self.whole(self.pool[slot["at"][place]]))
        return parts


class Plain(HTMLParser):
    def __init__(self):
        super().__init__()
        self.text = ""

    def handle_data(self, data):
        self.text += data


def plain(html):
    """The words of some HTML."""
    parser = Plain()
    parser.feed(html)
    return " ".join(parser.text.split())


def put(explorer, name, value):
    """Move a control of the explorer to the value that a link names."""
    control = getattr(explorer, name)
    options = {str(own): own for _, own in getattr(control, "options", ())}
    control.value = options[value] if options else int(value)


def drawn(figure, kind, *places):
    """Some properties of the glyphs of one kind in a figure of the page."""
    return [[g[place] for place in places] for g in figure["glyphs"] if g["kind"] == kind]


def numbers(column):
    """A column as the page has it: with five digits."""
    return [None if one != one else pytest.approx(one, rel=1e-4) for one in column]


def test_the_explorer_says_and_draws_what_python_does(site):
    """In one state of thirteen, which meets every position of every control."""
    [path] = (site / "data").glob("explorer*.js")
    assert compare(path, lab.Explorer(**SETTING), 13) > 80


@pytest.mark.timeout(3600)  # of a machine that does other things as well
@pytest.mark.skipif("CPLAB_EVERY_STATE" not in os.environ, reason="takes ten minutes")
def test_the_course_explorer_does_so_in_all_states(tmp_path):
    build_site(tmp_path, "explorer")
    assert compare(tmp_path / "data" / "explorer.js", lab.Explorer(), 1) == 10_000


def walk(*sizes):
    """All positions of some controls, of which one moves from each to the next."""
    if not sizes:
        return [()]
    rest = walk(*sizes[1:])
    return [(i, *tail) for i in range(sizes[0]) for tail in (rest[::-1] if i % 2 else rest)]


def compare(path, python, stride):
    """Compare a file of data with an explorer in each state, or one of so many; their number."""
    data, count = Read(path), 0
    spec = data.whole(data.widgets[path.stem])
    names = [control["name"] for control in spec["controls"]]
    assert {"deficit", "onset", "length"} <= {*names}
    for positions in walk(*(len(c["values"]) for c in spec["controls"]))[::stride]:
        count += 1
        for control, position in zip(spec["controls"], positions, strict=True):
            put(python, control["name"], control["values"][position])
        parts = data.state(spec, *positions)
        said = {part.get("as"): plain("".join(part["html"])) for part in parts if "html" in part}
        assert said["readout"] == plain(python.readout.value)
        assert said["phases"] == plain(python.phases.value)
        assert said["code"] == python.run.call()
        figures = [part["fig"] for part in parts if "fig" in part]
        plots, sources = python.plots, python.plots.sources
        panels = (
            plots.curve,
            plots.pair,
            plots.removal,
            plots.sensitivity,
            plots.healing,
            plots.map,
            plots.lost_time_map,
        )
        shown = [fig for fig in panels if fig.visible]
        assert [f["title"] for f in figures] == [" ".join(f.title.text.split()) for f in shown]
        by_length, chosen = drawn(figures[2], "line", "y")[1][0], drawn(figures[2], "dots", "x")[-1]
        assert by_length == numbers(sources["by_length"].data["mean"])
        assert chosen == [numbers(sources["chosen"].data["length"])]
        bars = drawn(figures[3], "vbar", "top", "fill_alpha")[0]
        assert bars == [numbers(sources["by_onset"].data[n]) for n in ("harm", "alpha")]
        for fig, what in zip(figures[-2:], ("harm", "lost_time"), strict=True):
            assert drawn(fig, "text", "text")[0] == [list(sources["cells"].data[f"{what}_text"])]
            assert drawn(fig, "rect", "x")[-1] == [list(sources["mark"].data["onset"])]
    return count


class Chosen(w.VBox):
    """Any widget of a lab: some controls, and words about them."""

    def __init__(self, *controls):
        self.message = w.HTML()
        super().__init__([*controls, self.message])
        for control in controls:
            control.observe(lambda _: self.say(controls), "value")
        self.say(controls)

    def say(self, controls):
        self.message.value = "chosen: " + ", ".join(str(control.value) for control in controls)


def replayed(widget):
    """What the page has of a widget, and a function from positions to its words."""
    pool = Pool()
    mark = replay(widget, pool)
    data = Read.of(json.loads(pool.json()), {})
    spec = data.whole(mark)
    return spec, lambda *at: [part["html"] for part in data.state(spec, *at)]


def test_any_widget_is_run_over_the_positions_of_its_controls():
    box, bar = w.Dropdown(options=["a", "b"], description="kind"), w.FloatSlider(0, max=1, step=0.5)
    spec, said = replayed(Chosen(box, bar))
    assert [c["labels"] for c in spec["controls"]] == [["a", "b"], ["0", "0.5", "1"]]
    assert said(1, 2) == ["chosen: b, 1.0"]
    assert (box.value, bar.value) == ("a", 0)


def test_controls_with_too_many_positions_stay_and_are_named():
    bars = [w.IntSlider(3, 0, 99, description=name) for name in ("one", "two", "three")]
    spec, said = replayed(Chosen(*bars, w.Text()))
    assert [c["name"] for c in spec["controls"]] == ["one"]
    assert all(name in spec["note"] for name in ("two", "three", "need Python"))
    assert said(7) == ["chosen: 7, 3, 3, "]


def test_a_control_that_another_one_changes_stays():
    kind = w.ToggleButtons(options=["few", "many"])
    strength = w.SelectionSlider(options=[1], description="strength")
    kind.observe(
        lambda c: setattr(strength, "options", [1, 2] if c.new == "many" else [1]), "value"
    )
    spec, said = replayed(Chosen(kind, strength))
    assert len(spec["controls"]) == 1
    assert "strength" in spec["note"]
    assert said(1) == ["chosen: many, 1"]


def test_a_question_whose_answer_is_typed_says_that_it_needs_python():
    spec, _ = replayed(Question({"answer": w.Text()}, lambda: [], [w.HTML("How many?")]))
    assert "needs Python" in spec["note"]


def test_an_answer_that_fails_is_no_page():
    def fail():
        raise CplabError("nothing is there")

    with pytest.raises(CplabError, match="nothing is there"):
        replayed(lab.choice("Why?", ["so", "not so"], fail))


def test_a_glyph_that_pages_cannot_draw_is_named():
    fig = show.curves({}, "x", "y")
    fig.wedge(0, 0, 1, 0, 1)
    with pytest.raises(CplabError, match="glyph Wedge"):
        figures(fig, Pool())


# In a browser ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@contextlib.contextmanager
def opened(browser, path, part="", **how):
    """A page from the disk, of which nothing may go wrong or be asked of a network."""
    page, wrong = browser.new_context(**how).new_page(), []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: r.url.startswith(("file:", "data:")) or wrong.append(r.url))
    page.goto(f"{path.as_uri()}{part}")
    page.wait_for_selector(".plot svg", state="attached")
    yield page
    page.context.close()
    assert wrong == []


@pytest.fixture(scope="module")
def page(browser, site):
    with opened(browser, site / "00_all.html") as one:
        yield one


def words(node):
    """What is seen in a part of the page, in one line."""
    return " ".join(node.inner_text().split())


def test_a_question_is_covered_until_it_is_answered(page):
    question = page.locator("#w1")
    assert "Is it so?" in words(question)
    assert "It is." not in words(question)
    question.get_by_role("button", name="Reveal").click()
    assert "Covered until you have answered." in words(question)
    for answer in ("no", "yes"):
        question.get_by_role("radio", name=answer).check()
        question.get_by_role("button", name="Reveal").click()
        assert f"You said: {answer}" in words(question)
    assert "It is." in words(question)
    assert question.locator("svg[role=img]").count() == 1


def test_a_prediction_says_for_each_guess_what_python_says(page):
    asked = {"blur": [0.55, 0.57], "flip": [0.61, 0.66]}
    box = page.locator("#w2")
    box.get_by_role("button", name="Reveal").click()
    assert "covered until you have moved every slider" in words(box)
    for guess in ((0, 100), (50.5, 61), (99.5, 0.5)):
        python = lab.Prediction({}, asked, source="made up")
        for bar, slider, value in zip(
            python.guesses.values(), box.get_by_role("slider").all(), guess, strict=True
        ):
            bar.value = value
            slider.fill(str(round(2 * value)))
        python.reveal.click()
        box.get_by_role("button", name="Reveal").click()
        assert plain(python.figure.children[-1].value.replace("<br>", " ")) in words(box)


def test_every_order_is_judged_as_python_does(page):
    box, python = page.locator("#w3"), lab.Ranking(ORDERED)
    lists = box.get_by_role("combobox").all()
    lists[0].select_option("blur")
    assert "Covered until each has its place." in words(box)
    lists[1].select_option("blur")
    assert "One place each: blur." in words(box)
    for order in itertools.permutations(ORDERED):
        for place, (own, name) in enumerate(zip(python.controls.values(), order, strict=True)):
            own.value = name
            lists[place].select_option(name)
        python.reveal.click()
        box.get_by_role("button", name="Reveal").click()
        assert plain(python.figure.children[-1].value.replace("<br>", " ")) in words(box)


def test_a_switch_and_a_slide_show_each_state(page):
    switch, slide = page.locator("#w4"), page.locator("#w5")
    for name in DEFICITS:
        switch.get_by_role("radio", name=name).check()
        assert show.label(name) in switch.locator(".key").inner_text()
    for i, n in enumerate((1, 2, 3)):
        slide.get_by_role("slider").fill(str(i))
        assert f"{n} squared is {n * n}" in words(slide)
        assert slide.get_by_role("slider").get_attribute("aria-valuetext") == str(i)


def test_a_curve_laid_by_hand_or_fitted_says_what_python_says(page):
    ends = {"normal": (2, 12), "tau": (10, 400)}
    python = lab.Fitting(animals.decline, T, Y, {"normal": 6, "tau": 60}, ends)
    box = page.locator("#w6")
    assert plain(python.readout.value) in words(box)
    for values in ((2, 10), (7.4, 150.4), (12, 400)):
        for bar, slider, value in zip(
            python.sliders.values(), box.get_by_role("slider").all(), values, strict=True
        ):
            bar.value = value
            slider.fill(str(value))
        assert plain(python.readout.value) in words(box)
    python = lab.Fitting(animals.decline, T, Y, {"normal": 6, "tau": 60}, ends)
    python.fit.click()
    box.get_by_role("button", name="Fit").click()
    assert plain(python.readout.value.replace("<br>", " ")) in words(box)


def test_what_trains_says_that_it_needs_python_and_how(page):
    assert "Training needs Python" in words(page.locator("#w7"))
    assert "cplab lab 00" in words(page.locator("#open-notebook"))
    page.locator("#w8").get_by_role("button", name="What was found").click()
    assert "What was found. Nothing & everything." in words(page.locator("#w8"))


def test_texts_tables_and_prints_are_there(page):
    text = words(page.locator("main"))
    assert "printed <here>" in text
    assert page.locator("math").count() == 1
    assert page.locator("table.dataframe").count() == 1
    page.get_by_text("Solution").click()
    assert page.locator("strong", has_text="bold").is_visible()


def test_keys_alone_move_the_explorer_and_the_link_brings_back_the_point(page, browser, site):
    box = page.locator("section[id^=explorer]")
    box.get_by_role("slider", name="onset").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    box.get_by_role("radio", name="blur").focus()
    page.keyboard.press("ArrowRight")
    said = words(box.locator(".readout"))
    python = lab.Explorer(**SETTING, at=page.url)
    assert (python.run.deficit, python.run.onset) == ("flip", 3)  # it begins at blur, onset 0
    assert said == plain(python.readout.value)
    with opened(browser, site / "00_all.html", "#" + page.url.partition("#")[2]) as again:
        assert words(again.locator("section[id^=explorer] .readout")) == said
        assert again.get_by_role("radio", name="vertical flip").first.is_checked()


def test_a_figure_has_words_and_a_table_of_its_numbers(page):
    figure = page.locator("#w9 figure")
    assert "blur" in figure.locator("svg[role=img]").get_attribute("aria-label")
    figure.get_by_text("Table").click()
    figure.locator("tbody tr").first.wait_for()  # a page is told of what was opened a little later
    rows = [row.inner_text().split("\t") for row in figure.locator("tbody tr").all()]
    sources = show.removal(Run(), ("blur",)).renderers
    means = [mean for r in sources[-1:] for mean in r.data_source.data["mean"]]
    told = [float(row[2]) for row in rows if row[0] == "blur"]
    assert told == [pytest.approx(mean, rel=1e-3) for mean in means]


def test_several_lines_of_one_glyph_are_drawn_and_told_one_by_one(page):
    figure = page.locator("#w10 figure")
    drawn = figure.locator("path[fill=none]:not(.grid)").all()
    assert [one.get_attribute("style") for one in drawn] == ["stroke:#aa0000", "stroke:#00aa00"]
    assert [one.get_attribute("d").count("L") for one in drawn] == [1, 2]
    figure.get_by_text("Table").click()
    figure.locator("tbody tr").first.wait_for()
    rows = [row.inner_text().split() for row in figure.locator("tbody tr").all()]
    assert rows == [["0", "3"], ["1", "4"], ["0", "5"], ["1", "6"], ["2", "7"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(browser, site, scheme):
    home = importlib.util.find_spec("axe_playwright_python")
    if home is None:
        pytest.skip("axe is not installed: pip install axe-playwright-python")
    axe = (Path(home.origin).parent / "axe.min.js").read_text()
    for name in ("00_all.html", "index.html"):
        with browser.new_context(color_scheme=scheme).new_page() as page:
            page.goto((site / name).as_uri())
            for button in page.get_by_role("button", name="What was found").all():
                button.click()
            page.evaluate(axe)
            found = page.evaluate("axe.run({preload: false})")["violations"]
            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_on_a_narrow_screen_nothing_stands_beside_the_page(browser, site):
    with opened(browser, site / "00_all.html", viewport={"width": 360, "height": 740}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 360


# The command -------------------------------------------------------------------------------------


def test_help_is_quick_and_loads_no_builder():
    code = "import sys; from cplab.cli import main; main(['site', '--help']);"
    code += "assert not {'mistune', 'bokeh', 'cplab.site', 'pandas'} & {*sys.modules}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "LAB" in done.stdout


def test_the_command_finds_the_labs_where_there_is_no_clone(tmp_path, monkeypatch):
    cell = {"cell_type": "markdown", "metadata": {}, "source": ["# Lab 00 · Installed"]}
    (tmp_path / "00_installed.ipynb").write_text(json.dumps({"cells": [cell]}))
    monkeypatch.setattr(teach, "CLONE", tmp_path / "gone")
    monkeypatch.setattr(teach, "INSTALLED", tmp_path)
    assert cli.main(["site", str(tmp_path / "out"), "00"]) == 0
    assert "Installed" in (tmp_path / "out" / "00_installed.html").read_text()


def test_a_lab_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CplabError, match="no lab '99'"):
        build_site(tmp_path / "out", "99")


def test_a_cell_that_fails_is_named(tmp_path):
    cell = {"cell_type": "code", "metadata": {}, "source": ["1 / 0"]}
    (tmp_path / "00_bad.ipynb").write_text(json.dumps({"cells": [cell]}))
    with pytest.raises(CplabError, match=r"cell 0 of 00_bad\.ipynb .*ZeroDivisionError"):
        build_site(tmp_path / "out", "00", labs=tmp_path)


def test_markdown_keeps_its_formulas_and_its_links():
    links = {"02_two.ipynb": "02_two.html"}
    page = markdown("[two](02_two.ipynb#a) [gone](gone.py) [web](https://a.org/b) $$a^2$$", links)
    assert '<a href="02_two.html#a">two</a>' in page
    assert "gone" in page
    assert "gone.py" not in page
    assert 'href="https://a.org/b"' in page
    assert re.search("<math.*<msup>", page)
