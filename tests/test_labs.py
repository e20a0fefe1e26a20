"""Every notebook in labs/: what it is made of."""

import ast
import builtins
import importlib
import re

import nbformat
import pytest
from conftest import ROOT
from contributing import how_many

from cplab import teach
from cplab.lab.questions.checks import find_exercise
from cplab.teach import site

LABS = sorted(ROOT.glob("labs/*.ipynb"), reverse=True)
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs/teaching.md").read_text("utf-8")
PAGES = [*LABS, *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/*.ipynb")]
SOURCES = [path for kind in ("py", "js", "html") for path in ROOT.glob(f"cplab/**/*.{kind}")]
NUMBER = r"\d\d[a-z]?"
SEVERAL = rf"{NUMBER}(?:(?:, | and | or | to ){NUMBER})*"
NAMED = re.compile(rf"\blab ({NUMBER})\b|\blabs ({SEVERAL})", re.I)


@pytest.fixture(scope="module", params=LABS, ids=[path.stem for path in LABS])
def path(request):
    return request.param


@pytest.fixture(scope="module")
def lab(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module")
def taught(path):
    """The teachers' copy, which has the solutions and checks in their places."""
    return teach.copy_for(nbformat.read(path, as_version=4), path.stem, "instructor")


def code(lab):
    return [cell.source for cell in lab.cells if cell.cell_type == "code"]


def prose(lab):
    return "\n\n".join(cell.source for cell in lab.cells if cell.cell_type == "markdown")


def folded(cell):
    return cell.metadata.get("jupyter", {}).get("source_hidden", False)


def test_it_is_a_notebook_of_the_kernel_that_every_jupyter_has(lab):
    nbformat.validate(lab)
    assert lab.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("file", PAGES + SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_each_lab_that_a_text_names_is_there(file):
    numbers = {path.stem.partition("_")[0] for path in LABS}
    named = set()
    for one, several in NAMED.findall(file.read_text("utf-8")):
        named.update(re.findall(NUMBER, one or several))
    assert named <= numbers


def test_it_begins_with_what_it_shares_with_other_labs(lab):
    strip = re.search(r"^> .+$", lab.cells[0].source, re.M)[0]
    for part in (r"\*\*Networks?\*\*: ", r"\*\*Images\*\*: ", r"first seen here|[Ll]abs? \d\d"):
        assert re.search(part, strip), strip


def test_it_is_stored_without_outputs(lab):
    for cell in lab.cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")


def test_it_has_nothing_for_which_papermill_waits_for_ever(lab):
    """See jupyter/nbclient#312."""
    assert not re.search(r"\binteract|\bOutput\(", "\n".join(code(lab)))


def test_its_first_cell_of_code_is_that_of_its_parameter(lab):
    [tagged] = [cell for cell in lab.cells if "parameters" in cell.metadata.get("tags", [])]
    assert tagged.id == lab.cells[1].id
    assert re.search(r'^profile = "auto"', tagged.source, re.M)


def test_the_cells_that_set_it_up_are_folded(lab):
    assert folded(lab.cells[1])
    assert folded(lab.cells[2])


def test_its_first_cell_knows_colab(lab):
    assert '"google.colab" in sys.modules' in lab.cells[1].source


def test_it_says_how_to_go_on_another_day(lab):
    assert "Run All Above" in lab.cells[0].source


def test_it_refuses_what_is_no_profile(lab):
    assert "lab.setting(profile" in code(lab)[1]


def test_the_readme_lists_it_under_its_title(path, lab):
    number = path.name.partition("_")[0]
    title = re.match(rf"# Lab {number} · (.+)\n", prose(lab))[1]
    assert f"| [{number} {title}](labs/{path.name}) |" in README


def questions(lab):
    return [cell for cell in code(lab) if re.search(r"lab\.(question|Prediction)\(", cell)]


def test_it_asks_as_many_questions_as_contributing_says_or_more(lab):
    assert len(questions(lab)) >= how_many("questions")


def test_each_question_says_what_was_found(lab):
    for cell in questions(lab):
        assert "lab.Prediction(" in cell or "finding=" in cell


def exercises(lab):
    """The number and the text of each exercise."""
    parts = re.split(r"^\*\*Exercise (\d+)\.\*\*", prose(lab), flags=re.M)
    return list(zip(map(int, parts[1::2]), parts[2::2], strict=True))


def test_its_exercises_are_numbered(lab):
    numbers = [number for number, _ in exercises(lab)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_each_exercise_has_a_hint_before_its_solution(lab):
    for _, text in exercises(lab):
        assert text.find("<summary>Stuck?<") > 0
        if "<summary>Solution<" in text:
            assert text.find("<summary>Stuck?<") < text.find("<summary>Solution<")


@pytest.mark.parametrize("key", re.findall(r"\*\*Graded\*\* is exercise (\S+):", GUIDE))
def test_what_the_guide_grades_has_no_solution_and_is_trained(key):
    number, _, place = key.partition("-")
    [path] = teach.labs(number)
    text = dict(exercises(nbformat.read(path, as_version=4)))[int(place)]
    assert "<summary>Solution<" not in text
    assert find_exercise(key).own_training


HINT = re.compile(r"<summary>Stuck\?</summary>(.*?)</details>", re.S)


def bound(source):
    """The names that some code binds, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def test_what_a_hint_calls_is_imported_by_the_lab_or_by_the_hint(lab):
    known = {*dir(builtins), *bound("\n".join(code(lab)))}
    hints = HINT.findall(prose(lab))
    assert hints
    for hint in hints:
        words = re.findall(r"`([^`\n]+)`", hint)
        imported = bound("\n".join(word for word in words if "import " in word))
        for word in words:
            called = re.match(r"(\w+)[.(]", word)
            assert not called or called[1] in known | imported, word


def test_it_ends_with_what_would_change_our_mind(lab):
    course, _, _ = prose(lab).partition("\n## Going further\n")
    _, _, end = course.rpartition("\n## ")
    assert "What would change our mind\n" in end
    assert len(re.findall("^- ", end, re.M)) >= how_many("points")


WORDS = dict(re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \|$", GUIDE, re.M))
FOLD = re.compile(r"<details>.*?</details>", re.S)


def test_a_word_opens_to_the_sentence_that_the_guide_has(lab):
    for fold in FOLD.findall(prose(lab)):
        [summary] = re.findall("<summary>(.+?)</summary>", fold)
        if not {*summary.split(", ")} <= WORDS.keys():
            continue
        opened = dict(re.findall(r"^- \*\*(.+?)\*\*: (.+)$", fold, re.M))
        assert opened == {word: WORDS[word] for word in summary.split(", ")}


@pytest.mark.parametrize("word", ["twin", "equal training", "lost time"])
def test_a_word_is_explained_before_a_lab_s_text_uses_it(lab, word):
    """In bold where its sentence stands in the text, or in a fold."""
    for cell in lab.cells[1:]:  # a title may wonder what it is
        if cell.cell_type == "markdown":
            if f"**{word}**" in cell.source.lower():
                return
            assert not re.search(rf"\b{word}s?\b", FOLD.sub("", cell.source), re.I)


NAMES = [*site.PUBLIC, "cplab.measure.fisher", "cplab.labs"]
NAMES += [f"cplab.labs.{path.stem}" for path in ROOT.glob("cplab/labs/lab*.py")]
MODULES = {name: importlib.import_module(name) for name in NAMES}


def public_names():
    """All modules that labs may use, and what is in them."""
    names = set(MODULES)
    for home, module in MODULES.items():
        for name in getattr(module, "__all__", dir(module)):
            names.add(f"{home}.{name}")
    return names


PUBLIC = public_names()


def names_used(source):
    """What Python code uses of cplab's modules, however they are imported and named."""
    known = {"cplab": "cplab"}
    for home, names in re.findall(r"^ *from (cplab[\w.]*) import (.+)", source, re.M):
        for imported in names.split(", "):
            name, _, other = imported.partition(" as ")
            known[other or name] = f"{home}.{name}"
    used = set(known.values())
    for module, name in re.findall(r"(?<![\w.\"])(\w+)\.([a-z_]\w*)\(", source):
        if known.get(module) in MODULES:
            used.add(f"{known[module]}.{name}")
    return used


def test_it_uses_nothing_but_what_is_public(taught):
    assert names_used("\n".join(code(taught))) <= PUBLIC


def test_the_readme_uses_nothing_but_what_is_public():
    assert names_used("\n".join(re.findall(r"```python\n(.*?)```", README, re.S))) <= PUBLIC
