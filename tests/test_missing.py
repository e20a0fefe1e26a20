"""A changed cell that nobody has trained: what it lacks, and what is offered below it."""

import html
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from conftest import cell

import cplab
from cplab import Run, estimates, lab, quantities, results, show
from cplab.lab import missing
from cplab.lab.jobs import Job
from cplab.labs import lab02, lab04, lab09
from cplab.labs.lab05_growth import search
from cplab.labs.lab05_retraining import retrain
from cplab.lacking import MISSING, Lacking

BRIEF = Run("blur", length=1, recovery=2, profile="ci", schedule="fixed")
LONG = Run("blur", length=7, recovery=60, model="depth3", schedule="fixed")


@pytest.fixture
def noted():
    """What is looked up from now on."""
    yield Lacking()
    Lacking.latest = None


def specs(cell):
    return {spec for spec, _ in cell.missing()}


@pytest.mark.usefixtures("nothing_shipped")
def test_harm_without_results_lacks_both_of_its_runs(noted):
    quantities.harm(BRIEF)
    assert specs(noted) == {BRIEF, BRIEF.newborn()}


def test_a_harm_with_results_of_some_seeds_lacks_nothing(noted):
    quantities.harm(Run("blur", length=8))
    assert specs(noted) == set()


def test_a_measurement_that_is_missing_is_named(noted):
    quantities.each_result(Run("blur", length=8), ("detail_share",))
    assert noted.missing() == [(Run("blur", length=8), ("detail_share",))]


IMPOSSIBLE = replace(BRIEF, model="mlp2-8", treatments="reset-4@1")


def test_a_run_that_its_network_does_not_allow_is_explained_in_the_place_of_an_offer():
    shown = missing.offer([(IMPOSSIBLE, ())])
    assert "mlp2-8 has no block 4: give 1 to 3" in repr(shown)


def test_a_run_that_its_network_does_not_allow_is_not_trained_with_the_others():
    job = missing.offer([(IMPOSSIBLE, ()), (BRIEF, ())])
    assert "one kind of network is" in job.above
    assert "has no block 4" in job.above


@pytest.mark.usefixtures("nothing_shipped")
def test_an_offer_says_which_seeds_a_press_trains(noted):
    quantities.harm(BRIEF)
    assert "seeds 0, 1, 2 of each takes" in missing.offer(noted.missing()).above


@pytest.mark.usefixtures("nothing_shipped")
def test_an_offer_names_each_network_once(noted):
    quantities.harm(BRIEF)
    quantities.each_result(BRIEF, ("detail_share",))
    above = html.unescape(missing.offer(noted.missing()).above)
    assert above.count(BRIEF.call()) == 1


@pytest.mark.usefixtures("nothing_shipped")
def test_a_figure_of_treated_networks_lacks_only_those_that_it_shows(noted):
    treated = replace(BRIEF, treatments="renorm@1")
    drawn = lab09.draw_with_controls(treated)
    assert specs(noted) == {treated, BRIEF, treated.newborn(), BRIEF.newborn()}
    assert "equal training" not in repr(drawn)


@pytest.mark.usefixtures("nothing_shipped")
def test_a_row_of_filters_that_nobody_has_trained_is_shown_as_missing(noted):
    drawn = lab04.draw_filters({"A": BRIEF})
    assert repr(drawn) == f"A: {MISSING}"


@pytest.fixture
def pressed(noted, nothing_shipped):
    """The button below a cell that lacked the results of a run, once it has trained them."""
    quantities.harm(BRIEF)
    below = missing.offer(noted.missing())
    below.press()
    assert below.wait(200)
    return below


def test_after_a_press_nothing_is_missing(pressed):
    again = Lacking()
    assert quantities.harm(BRIEF).seeds == 3
    assert again.missing() == []


def test_a_press_trains_nothing_else(pressed):
    others = [replace(BRIEF, seed=3), replace(BRIEF, length=2)]
    assert not [run for run in others if results.find(run)]


def test_after_a_press_it_says_that_the_cell_is_to_be_run_again(pressed):
    assert missing.AGAIN in pressed.message


def values_trained(run):
    """Values at which there are results, by the field in which they differ from a run."""
    return missing.trained_values(run, missing.fields_of_results(run))


def test_a_run_that_takes_too_long_names_values_that_have_results(noted, monkeypatch):
    monkeypatch.setattr(missing, "LONGEST_WAIT", 1)
    assert quantities.harm(LONG).seeds == 0
    below = missing.offer(noted.missing())
    assert not isinstance(below, Job)
    assert "too long to wait for. There are results, all else being equal, for" in below.text
    for length in values_trained(LONG)["length"]:
        assert quantities.harm(replace(LONG, length=length)).seeds > 1


def test_how_long_other_images_take_is_told_by_the_usual_ones(noted, monkeypatch):
    monkeypatch.setattr(missing, "LONGEST_WAIT", 1)
    quantities.harm(replace(LONG, dataset="fashion_mnist", onset=3))
    assert "too long to wait for" in missing.offer(noted.missing()).text


def test_networks_that_lack_results_together_are_told_values_that_all_of_them_have():
    three_blocks = replace(LONG, length=5)
    allcnn = Run("blur", length=5)
    [line] = missing.advice([missing.MissingResult(run, ()) for run in (three_blocks, allcnn)])
    values = [values_trained(run)["length"] for run in (three_blocks, allcnn)]
    common = [length for length in values[0] if length in values[1]]
    assert f"length = {missing.in_words(common)}" in line


def test_the_time_of_a_network_that_nobody_has_trained_is_measured(noted):
    quantities.harm(replace(LONG, model="depth1-10", recovery=1))
    assert re.search(r"takes about [\d.]+ (minutes|seconds)", missing.offer(noted.missing()).above)


def test_the_time_of_an_experiment_on_other_images_is_told_by_the_usual_ones():
    grown = search.spec(dataset="fashion_mnist")
    spec = retrain.spec("inked", 0.05, grown, dataset="fashion_mnist")
    assert "takes about" in missing.offer([(spec, ())]).above


TIMED = """@cplab.experiment(version=1)
def timed(seed: int = 0):
    return {"at": seed}
"""


def test_the_time_of_an_own_experiment_is_told_by_what_its_cell_had_before():
    cell(TIMED, cplab=cplab)["timed"]()
    changed = cell(TIMED.replace("seed}", "2 * seed}"), cplab=cplab)["timed"].spec()
    assert "takes about" in missing.offer([(changed, ())]).above


def test_rows_of_numbers_that_were_not_measured_are_lacking(noted):
    noisy = Run("noise", length=16, model="depth3", schedule="fixed", recovery=60)
    lab02.image_accuracies(noisy)
    assert noisy in specs(noted)
    assert noted.said


def test_treatments_that_have_results_are_written_as_a_run_takes_them():
    run = Run("blur", length=16, profile="course", treatments="shrink-0.7@16")
    treatments = values_trained(run)["treatments"]
    assert len(treatments) > 2
    for text in treatments:
        assert quantities.accuracy(replace(run, treatments=text)).seeds


def test_where_nothing_can_be_trained_there_is_no_button(noted, monkeypatch):
    monkeypatch.setattr(missing, "trains_here", lambda: False)
    below = missing.offer([(LONG, ())])
    assert not isinstance(below, Job)
    assert "length = " in below.text


def test_a_cell_that_lacks_nothing_has_nothing_below_it():
    assert missing.offer([]) is None


@pytest.fixture
def run_cell(monkeypatch, nothing_shipped):
    """A function that does some work as a cell does, and gives what is shown below it."""
    calls = {}
    shown = []
    shell = SimpleNamespace(events=SimpleNamespace(register=calls.__setitem__))
    monkeypatch.setattr(missing, "display", shown.append)
    missing.watch_cells(shell)

    def run(work, success=True):
        shown.clear()
        calls["pre_run_cell"]()
        work()
        calls["post_run_cell"](SimpleNamespace(success=success))
        return [*shown]

    return run


def read_harm():
    str(quantities.harm(BRIEF))


def test_a_cell_that_reads_what_is_missing_has_an_offer_below_it(run_cell):
    assert len(run_cell(read_harm)) == 1


def test_a_cell_has_no_offer_for_what_another_lacked(run_cell):
    run_cell(read_harm)
    assert run_cell(lambda: None) == []


def test_a_cell_has_no_offer_for_what_nobody_reads(run_cell):
    assert run_cell(lambda: quantities.harm(BRIEF)) == []


def test_a_cell_that_failed_has_no_offer(run_cell):
    assert run_cell(read_harm, success=False) == []


@pytest.mark.usefixtures("nothing_shipped")
@pytest.mark.parametrize(
    "reads",
    [
        lambda: show.clear_epochs({"blurred": BRIEF}),
        lambda: show.bars({"blurred": quantities.harm(BRIEF)}, "harm"),
        lambda: show.over_epochs({"blurred": BRIEF}, "test_accuracy"),
        lambda: show.harm_table({"blurred": BRIEF}),
        lambda: lab.Prediction({}, {"blurred": BRIEF}),
        lambda: lab.question("So?", ["yes", "no"], finding=f"By {quantities.harm(BRIEF)}."),
        lambda: estimates.compare(quantities.harm(BRIEF), "the newborn"),
    ],
)
def test_each_kind_of_output_says_what_it_lacks(noted, reads):
    reads()
    assert noted.said
    assert BRIEF in specs(noted)


def test_a_cell_that_shows_numbers_of_a_cell_above_has_an_offer_below_it(run_cell):
    numbers = []
    assert run_cell(lambda: numbers.append(quantities.harm(BRIEF))) == []
    assert len(run_cell(lambda: str(numbers[0]))) == 1


@pytest.fixture
def number_above(run_cell):
    """A number that a cell above has looked up in vain, and shows nowhere."""
    numbers = []
    assert run_cell(lambda: numbers.append(quantities.harm(BRIEF))) == []
    return numbers[0]


def test_the_button_below_a_cell_that_shows_a_number_from_above_names_the_cells(
    run_cell, number_above
):
    [below] = run_cell(lambda: str(number_above))
    below.press()
    assert below.wait(200)
    assert missing.AGAIN_ABOVE in below.message


def test_a_number_from_above_that_is_trained_by_now_is_to_be_computed_again(run_cell, number_above):
    cplab.sweep([run.replace(seed=0) for run in (BRIEF, BRIEF.newborn())])
    [below] = run_cell(lambda: str(number_above))
    assert missing.AGAIN_ABOVE in below.text
