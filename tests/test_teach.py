"""What a teacher is given: two copies of each lab, checks, and the labs as pages."""

import importlib
import re
import sys
from base64 import b64decode
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from conftest import ROOT, one_line

import cplab
from cplab import cli, teach
from cplab.teach import copies as copies_module
from cplab.teach import site

EXERCISE = re.compile(r"\*\*Exercise (\d+)\.\*\*")
LAB = "00_a_critical_period_in_a_minute"  # of which the site has a page
SOURCES = {path.name: nbformat.reads(teach.portable(path), as_version=4) for path in teach.labs()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of each kind of copies, as the command writes it."""
    folders = {}
    for kind in teach.KINDS:
        folders[kind] = tmp_path_factory.mktemp(kind)
        assert cli.main(["teach", "build", str(folders[kind]), f"--{kind}"]) == 0
    return folders


@pytest.fixture(scope="module")
def copies(folders):
    """The notebooks of each kind, by name of the lab."""
    copies = {}
    for kind, folder in folders.items():
        paths = folder.rglob("*.ipynb")
        copies[kind] = {path.name: nbformat.read(path, as_version=4) for path in paths}
    return copies


def prose(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def whole(notebook):
    return "\n".join(cell.source for cell in notebook.cells)


def blocks(notebook):
    """The Python of all solutions of a lab as it is stored."""
    code = []
    for hidden in re.findall(
        r"<details><summary>Solution</summary>.*?</details>", prose(notebook), re.S
    ):
        code += re.findall(r"```python\n(.*?)```", hidden, re.S)
    return code


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


every_kind = pytest.mark.parametrize("kind", teach.KINDS)


@every_kind
def test_there_is_a_copy_of_each_lab(copies, kind):
    assert copies[kind].keys() == SOURCES.keys()


@every_kind
def test_one_lab_can_be_built_alone(tmp_path, kind):
    assert cli.main(["teach", "build", str(tmp_path), f"--{kind}", "02"]) == 0
    [copy] = tmp_path.rglob("*.ipynb")
    assert copy.name == "02_blur_critical_period.ipynb"


@every_kind
def test_a_copy_is_a_notebook(copies, kind):
    for copy in copies[kind].values():
        nbformat.validate(copy)


@every_kind
def test_a_copy_has_the_lab_s_exercises_in_order(copies, kind):
    for name, copy in copies[kind].items():
        assert EXERCISE.findall(whole(copy)) == EXERCISE.findall(prose(SOURCES[name])), name


@every_kind
def test_a_copy_keeps_all_else_of_a_lab_in_order(copies, kind):
    for name, copy in copies[kind].items():
        kept = [cell.source for cell in SOURCES[name].cells if "**Exercise" not in cell.source]
        rest = iter([cell.source for cell in copy.cells])
        for source in kept:
            assert source in rest, name  # an iterator goes on from there


def test_students_have_room_for_each_answer(copies):
    for name, student in copies["student"].items():
        exercises = EXERCISE.findall(whole(student))
        assert len(tagged(student, "answer")) == len(exercises) > 0, name


def test_students_have_nothing_of_a_solution(copies):
    for name, student in copies["student"].items():
        text = whole(student)
        assert not re.search("S(olution|OLUTION)", text), name
        for block in blocks(SOURCES[name]):
            assert block.strip() not in text, name


def test_a_check_stands_below_its_exercise_in_a_cell_of_its_own(copies):
    for name, student in copies["student"].items():
        text = {cell.id: cell.source for cell in student.cells}
        checks = [cell for cell in text if cell.startswith("check-")]
        assert len(checks) == whole(student).count("`lab.check(") > 0, name
        for check in checks:
            assert f"`{text[check]}`" in text[check.replace("check-", "exercise-")]


@pytest.mark.parametrize("kind", ["instructor", "nbgrader"])
def test_a_teacher_s_copy_has_each_solution_once(copies, kind):
    for name, notebook in copies[kind].items():
        solutions = tagged(notebook, "solution")
        for block in blocks(SOURCES[name]):
            assert sum(block.strip() in cell.source for cell in solutions) == 1


# nbgrader's copies: `tests/journeys/test_teacher_monday.py` has nbgrader grade them ---------------


@pytest.fixture(scope="module")
def texts(copies):
    """The text of each cell of nbgrader's copies."""
    return {cell.id: cell.source for copy in copies["nbgrader"].values() for cell in copy.cells}


@pytest.mark.parametrize("key", ["00-1", "02-1", "06-2", "03b-2", "07-1"])
def test_an_exercise_that_a_student_trains_is_read_by_somebody(key, texts):
    """A grader's machine does not have these networks."""
    assert "given by a person" in texts[f"exercise-{key}"]


@pytest.mark.parametrize("key", ["02-3", "06-1", "08-3"])
def test_an_exercise_with_a_number_is_graded_by_its_check(key, texts):
    assert "given by its check" in texts[f"exercise-{key}"]


ATTACHED = r"!\[[^]]+\]\(attachment:(.+?)\)"


@every_kind
def test_a_copy_holds_the_pictures_of_its_texts_so_it_may_lie_anywhere(copies, kind):
    for name, copy in copies[kind].items():
        pictures = 0
        for cell in copy.cells:
            for picture in re.findall(ATTACHED, cell.source):
                stored = (teach.CLONE.parent / "docs/pictures" / picture).read_bytes()
                assert b64decode(cell.attachments[picture]["image/png"]) == stored
                pictures += 1
        assert pictures, name


@pytest.fixture
def run_by_somebody():
    """A lab that somebody has run: with widgets, outputs, times and counts."""
    notebook = nbformat.read(teach.labs()[0], as_version=4)
    notebook.metadata["widgets"] = {"state": {"model": {"state": {"value": "my answer"}}}}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata["execution"] = {"iopub.execute_input": "2026-11-27T09:00"}
            cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": "my answer"})]
            cell.execution_count = 7
    return notebook


@every_kind
def test_a_copy_of_a_lab_that_was_run_holds_nothing_of_who_ran_it(kind, run_by_somebody):
    copy = teach.copy_for(run_by_somebody, teach.labs()[0].stem, kind)
    assert not re.search('my answer|2026-11-27|"execution_count": 7', nbformat.writes(copy))


def test_the_planning_page_has_the_labs_as_they_are():
    """If it fails: python docs/planning_table.py"""
    sys.path.insert(0, str(ROOT / "docs"))
    planning_table = importlib.import_module("planning_table")
    assert planning_table.page() == planning_table.PAGE.read_text("utf-8")
    for path in teach.labs():
        lab = planning_table.read_lab(path)
        assert lab.minutes == lab.counted, path.stem


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Two labs and the pages beside them in a folder of their own, which a test changes; and where
    copies of them go."""
    source = tmp_path / "repository" / "labs"
    source.mkdir(parents=True)
    pictures = source.parent / "docs" / "pictures"
    pictures.mkdir(parents=True)
    for path in teach.labs()[:2]:
        (source / path.name).write_bytes(path.read_bytes())
    for path in teach.pages():
        (source.parent / "docs" / path.name).write_bytes(path.read_bytes())
    for picture in (teach.CLONE.parent / "docs/pictures").glob("lab0*.png"):
        (pictures / picture.name).write_bytes(picture.read_bytes())
    monkeypatch.setattr(copies_module, "CLONE", source)
    return source, tmp_path / "cplab-labs"


def write_anew(path):
    """Change what a lab says."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source += "  # new"
    nbformat.write(notebook, path)


def copy_with_notes(home):
    """Copy the labs, and write notes into the first copy. Returns: its path."""
    teach.copy_labs(home)
    path = home / teach.labs()[0].name
    path.write_text(path.read_text("utf-8").replace("Sources", "My notes"), "utf-8")
    return path


def test_one_s_own_notes_are_no_other_text_of_a_lab(changed):
    _, home = changed
    copy_with_notes(home)
    assert teach.copy_labs(home) == ([], [], 4)


class Anew(NamedTuple):
    """A copy with notes, its text before its lab changed and labs were copied again, what the
    second copying says, and where the copies are."""

    path: Path
    before: str
    copied: copies_module.Copied
    home: Path


@pytest.fixture
def anew(changed):
    source, home = changed
    path = copy_with_notes(home)
    before = path.read_text("utf-8")
    write_anew(source / path.name)
    return Anew(path, before, teach.copy_labs(home), home)


def test_beside_a_copy_of_an_earlier_text_stands_a_fresh_one(anew):
    name = f"{anew.path.stem}-2.ipynb"
    assert anew.copied.fresh == [name]
    assert "# new" in (anew.home / name).read_text("utf-8")


def test_a_copy_of_an_earlier_text_stays(anew):
    assert anew.copied.stay == 3
    assert anew.path.read_text("utf-8") == anew.before


def test_a_fresh_copy_is_made_once(anew):
    assert teach.copy_labs(anew.home) == ([], [], 4)


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_a_half_copy_is_not_taken_for_a_whole_one(changed, size):
    _, home = changed
    teach.copy_labs(home)
    second = teach.labs()[1]
    half = teach.folder_of(home, second) / second.name
    half.write_bytes(half.read_bytes()[:size])
    assert teach.copy_labs(home).fresh == [f"{half.stem}-2.ipynb"]


def test_a_folder_that_is_called_like_a_lab_leaves_room_for_the_others(changed):
    _, home = changed
    first, second = (path.name for path in teach.labs())
    (home / first).mkdir(parents=True)
    copied = teach.copy_labs(home)
    assert copied.new == [second, *[path.name for path in teach.pages()]]
    assert copied.fresh == [first.replace(".ipynb", "-2.ipynb")]


@pytest.mark.parametrize("kind", ["student", "instructor"])
def test_the_course_stands_above_a_folder_of_the_labs_that_go_further(folders, kind):
    course = {path.name for path in teach.labs() if teach.in_course(path)}
    assert {path.name for path in folders[kind].glob("*.ipynb")} == course
    further = {path.name for path in (folders[kind] / "going-further").iterdir()}
    assert further == SOURCES.keys() - course


@pytest.fixture
def full(monkeypatch):
    """A disk that has no more room after a thousand letters of a file."""
    write = Path.write_text

    def write_some(path, text, *options):
        write(path, text[:1000], *options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", write_some)


@pytest.mark.usefixtures("full")
def test_where_there_is_no_room_for_a_copy_the_error_names_the_option(changed):
    _, home = changed
    one_line(lambda: teach.copy_labs(home), "No space left", "--folder")


@pytest.mark.usefixtures("full")
def test_a_copy_is_written_whole_or_not_at_all(changed):
    _, home = changed
    one_line(lambda: teach.copy_labs(home))
    assert list(home.iterdir()) == []


# The site -----------------------------------------------------------------------------------------


class Site(NamedTuple):
    """A site with lab 00: its folder, and its pages by name."""

    folder: Path
    pages: dict[str, str]

    @property
    def text(self):
        return "".join(self.pages.values())


@pytest.fixture(scope="module")
def built(site):
    """The one that `cplab site` has written."""
    return Site(site, {path.name: path.read_text("utf-8") for path in site.glob("*.html")})


def test_the_menu_of_each_page_leads_to_the_reference(built):
    for text in built.pages.values():
        assert 'href="reference.html"' in text


def test_a_missing_library_is_named_before_the_first_page(tmp_path, monkeypatch):
    """All of them in one line."""
    monkeypatch.setattr(site, "find_spec", lambda name: name == "nbclient")
    one_line(lambda: site.build_site(tmp_path / "pages"), "latex2mathml", "pdoc", "cplab[site]")
    assert not (tmp_path / "pages").exists()


def names_linked(built):
    """The page and the name of each link of the reference."""
    return re.findall(r'"(reference/[\w/]+\.html)#(\w+)"', built.pages["reference.html"])


def test_the_reference_has_all_public_names(built):
    assert {name for _, name in names_linked(built)} >= {*cplab.__all__}


def test_a_link_of_the_reference_leads_to_its_name(built):
    for page, name in names_linked(built):
        assert f'id="{name}"' in (built.folder / page).read_text("utf-8"), (page, name)


@pytest.fixture(scope="module")
def question():
    """What the README says that lab 00 asks."""
    readme = (ROOT / "README.md").read_text("utf-8")
    [asked] = re.findall(rf"{LAB}\.ipynb\) \| (.*?) \|", readme)
    return asked


def test_the_front_page_says_what_a_lab_asks(built, question):
    assert question in built.pages["index.html"]


def test_a_lab_s_page_begins_with_what_it_asks(built, question):
    _, lab = built.pages[f"{LAB}.html"].split("</h1>", 1)
    beginning, _, _ = lab.partition("</p>")
    assert f"<em>{question}</em>" in beginning


def test_no_cell_of_a_page_stops_the_key_tab(built):
    assert not re.search(r'class="jp-[^>]*tabindex="0"', built.text)


def test_links_of_pages_lead_somewhere(built):
    links = re.findall(r'href="((?!https?:|data:)[^"#]+)', built.text)
    assert "reproduction/rows.csv" in links
    for link in links:
        assert (built.folder / link).exists(), link


def test_pictures_of_pages_lie_in_the_site(built):
    sources = re.findall(r'<img[^>]* src="(?!data:)([^"]+)"', built.text)
    assert "pictures/lab00.png" in sources
    for source in sources:
        assert (built.folder / source).exists(), source
        assert ".." not in source


def page_of(*cells):
    """The cells of a notebook as a page has them."""
    return site.fit_for_a_page(nbformat.v4.new_notebook(cells=list(cells))).cells


def test_a_page_says_what_exercises_need():
    [exercises] = page_of(
        nbformat.v4.new_markdown_cell("## 8 · Exercises\n\n**Exercise 1.** Train one.")
    )
    before, _, _ = exercises.source.partition("**Exercise 1.**")
    assert "Python" in before


def test_a_page_says_what_is_written_for_it_instead():
    instead = {"page": "In a notebook, run the cell."}
    [cell] = page_of(nbformat.v4.new_markdown_cell("Run the cell.", metadata=instead))
    assert cell.source == instead["page"]


def test_a_page_says_not_how_far_a_cell_was():
    counted = nbformat.v4.new_output("stream", name="stderr", text="2551 of 3000 epochs\n")
    printed = nbformat.v4.new_output("stream", name="stdout", text="99 %\n")
    [cell] = page_of(nbformat.v4.new_code_cell("train()", outputs=[counted, printed]))
    assert cell.outputs == [printed]


def test_a_page_has_one_first_screen_and_links_up_to_it():
    screens = [
        nbformat.v4.new_output("display_data", {"text/html": f"<cplab-nursery>{n}</cplab-nursery>"})
        for n in range(3)
    ]
    cells = page_of(*(nbformat.v4.new_code_cell("…", outputs=[screen]) for screen in screens))
    pages = [cell.outputs[0].data["text/html"] for cell in cells]
    assert ["<cplab-nursery" in page for page in pages] == [True, False, False]
    assert all('href="#screen"' in page for page in pages[1:])
    assert 'id="screen"' in pages[0]


@pytest.mark.parametrize("after", [[], [nbformat.v4.new_markdown_cell("## 7 · The end")]])
def test_a_section_that_is_folded_in_a_notebook_is_folded_on_its_page(after, tmp_path):
    folded = {"jp-MarkdownHeadingCollapsed": True}
    cells = page_of(
        nbformat.v4.new_markdown_cell("## Going further\n\nThe measure.", metadata=folded),
        nbformat.v4.new_code_cell("1"),
        *after,
    )
    path = tmp_path / "page.html"
    site.write_page(path, nbformat.v4.new_notebook(cells=cells), menu="")
    _, _, page = path.read_text("utf-8").partition("<main>")
    fold, _, _ = page.partition("</main>")
    fold, _, _ = fold.partition("The end")
    assert "Going further" in fold
    assert "The measure." in fold
    assert fold.count("<details") == fold.count("</details>") == 2  # it, and the code in it


def test_the_course_comes_before_the_labs_that_go_further():
    labs = {path: nbformat.read(path, 4) for path in [*teach.labs(), *teach.pages()]}
    after = {}
    for path in labs:
        following = re.search(r'rel="next" href="(\w+)', site.neighbours(labs, path))
        after[path.name.partition("_")[0]] = following and following[1].partition("_")[0]
    assert (after["00"], after["05"], after["what"]) == ("01", "what", "00b")
    [*_, last_lab] = [path.name.partition("_")[0] for path in teach.labs()]
    assert (after[last_lab], after["from"]) == ("from", None)


def test_a_page_has_its_sections_at_the_side(built):
    page = built.pages[f"{LAB}.html"]
    _, _, links = page.partition('aria-label="sections">')
    anchors = re.findall('href="#([^"]+)"', links.partition("</nav>")[0])
    assert len(anchors) > 2
    assert all(f'id="{anchor}"' in page for anchor in anchors)


def test_a_name_of_the_reference_has_a_line(built):
    assert "</a>: One training run: clear epochs, then a deficit" in built.pages["reference.html"]


def test_results_are_called_results(built):
    assert "<title>Results</title>" in built.pages["reproduction.html"]
