"""What nobody has trained: what numbers, figures and questions lack, and what is offered below."""

import html
from dataclasses import replace

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

import cplab
from cplab import Run, estimates, lab, quantities, results, show
from cplab.estimates import NOT_TRAINED, Lack, lacking_in
from cplab.lab import missing
from cplab.lab.buttons.button import TrainButton
from cplab.labs import lab02

BRIEF = Run("blur", length=1, recovery=2, profile="ci", schedule="fixed")
LONG = Run("blur", length=7, recovery=60, model="depth3", schedule="fixed")


def specs(*things):
    return {lack.spec for lack in lacking_in(*things)}


# What travels with a number -----------------------------------------------------------------------


def test_harm_without_results_lacks_both_of_its_runs():
    assert specs(quantities.harm(BRIEF)) == {BRIEF, BRIEF.newborn()}


def test_a_harm_with_results_of_some_seeds_lacks_nothing():
    assert specs(quantities.harm(Run("blur", length=8))) == set()


def test_what_cancels_is_not_lacking():
    harm = quantities.harm(BRIEF)
    assert specs(harm + quantities.accuracy(BRIEF)) == {BRIEF.newborn()}


def test_a_measurement_that_is_missing_is_named():
    run = Run("blur", length=8)
    shares = quantities.each_seed(lambda seeded: quantities.result(seeded, "jacobian"), run)
    assert lacking_in(shares) == (Lack(run, "jacobian"),)


def test_a_quantity_lacks_what_its_function_looked_up_in_vain():
    @quantities.quantity
    def gain(run):
        return quantities.result(run).accuracy - quantities.result(BRIEF).accuracy

    assert specs(gain(Run("blur", length=8))) == {BRIEF}


CARRIED = {
    "a sum": lambda harm: harm + 1,
    "numbers of seeds": lambda harm: harm.values,
    "an estimate of them": lambda harm: estimates.estimate(harm.values),
    "a function of it": lambda harm: estimates.seed_by_seed(np.log, harm),
    "some of its seeds": lambda harm: harm.only([0, 1]),
    "bars": lambda harm: show.bars({"blurred": harm}, "harm"),
    "bars of seeds": lambda harm: show.bars({"blurred": harm.values}, "harm"),
    "means": lambda harm: show.means({"blur": {1: harm}}, ("epochs", "harm")),
    "a forest": lambda harm: show.forest({"blurred": harm}, "harm"),
    "a table": lambda harm: show.table({"blurred": {"harm": harm}}),
    "a slide": lambda harm: lab.slide({1: show.bars({"blurred": harm}, "harm")}),
    "a prediction": lambda harm: lab.Prediction({}, {"blurred": harm}),
    "a question with a figure": lambda harm: lab.question(
        "So?", ["yes"], figure=["<p>So.</p>", show.bars({"blurred": harm}, "harm")]
    ),
    "a question of it": lambda harm: lab.question("So?", ["yes"], finding=f"By {harm}.", of=harm),
}


@pytest.mark.parametrize("carry", CARRIED.values(), ids=CARRIED)
def test_whatever_is_made_of_a_number_lacks_what_it_lacks(carry):
    assert specs(carry(quantities.harm(BRIEF))) == {BRIEF, BRIEF.newborn()}


SHOWN = {
    "clear epochs": lambda: show.clear_epochs({"blurred": BRIEF}),
    "over the epochs": lambda: show.over_epochs({"blurred": BRIEF}, "test_accuracy"),
    "a prediction": lambda: lab.Prediction({}, {"blurred": BRIEF}),
}


@pytest.mark.parametrize("draw", SHOWN.values(), ids=SHOWN)
def test_what_shows_a_run_lacks_it(draw):
    assert BRIEF in specs(draw())


def test_accuracies_by_image_lack_their_runs():
    assert LONG in specs(lab02.image_accuracies(LONG))


# What is offered ----------------------------------------------------------------------------------


def test_an_offer_names_each_network_once():
    above = html.unescape(missing.offer([Lack(BRIEF), Lack(BRIEF, "jacobian")]).above)
    assert above.count(BRIEF.call()) == 1


def test_an_offer_says_how_long_its_size_usually_takes_unless_its_width_is_another():
    above = missing.offer([Lack(LONG)]).above
    assert "seeds 0, 1, 2 of each usually takes about " in above
    above = missing.offer([Lack(replace(LONG, model="depth1-68"))]).above
    assert "minutes" not in above
    assert "first epochs will show" in above


def test_an_offer_names_values_that_have_results():
    above = html.unescape(missing.offer([Lack(LONG)]).above)
    assert "There are results, all else being equal, for length = " in above
    for length in values_trained(LONG)["length"]:
        assert quantities.harm(replace(LONG, length=length)).seeds > 1


@pytest.mark.usefixtures("nothing_shipped")
def test_a_press_trains_what_is_missing_and_nothing_else():
    """And then says that cells are to be run again."""
    below = missing.offer(quantities.harm(BRIEF).lacking)
    below.press()
    assert below.wait(200)
    assert missing.AGAIN in below.message
    harm = quantities.harm(BRIEF)
    assert harm.seeds == 3
    assert missing.offer(harm.lacking) is None
    others = [replace(BRIEF, seed=3), replace(BRIEF, length=2)]
    assert not [run for run in others if results.find(run)]


@pytest.mark.usefixtures("nothing_shipped")
def test_a_number_that_was_computed_before_its_networks_were_trained_is_to_be_computed_again():
    harm = quantities.harm(BRIEF)
    cplab.sweep([BRIEF, BRIEF.newborn()])
    assert missing.AGAIN in missing.offer(harm.lacking).text


def values_trained(run):
    """Values at which there are results, by the field in which they differ from a run."""
    return missing.trained_values(run, missing.fields_of_results(run))


def test_networks_that_lack_results_together_are_told_values_that_all_of_them_have():
    three_blocks = replace(LONG, length=5)
    allcnn = Run("blur", length=5)
    sentence = missing.advice([Lack(run) for run in (three_blocks, allcnn)])
    common = values_trained(three_blocks)["length"] & values_trained(allcnn)["length"]
    assert missing.in_words("length", missing.nearest(common, 5)) in sentence


def test_treatments_that_have_results_are_written_as_a_run_takes_them():
    run = Run("blur", length=16, profile="course", treatments="shrink-0.7@16")
    treatments = values_trained(run)["treatments"]
    assert len(treatments) > 2
    for text in treatments:
        assert quantities.accuracy(replace(run, treatments=text)).seeds


def test_where_nothing_can_be_trained_there_is_no_button(monkeypatch):
    monkeypatch.setattr(missing, "will_train_here", lambda: False)
    below = missing.offer([Lack(LONG)])
    assert not isinstance(below, TrainButton)
    assert "length = " in below.text


def test_what_lacks_nothing_has_nothing_below_it():
    assert missing.offer([]) is None


# In a notebook ------------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch, nothing_shipped):
    """A function that shows something as a cell's last line does, and gives what is displayed; it
    is empty where IPython shows it in its own way."""
    shell = InteractiveShell()
    missing.offer_below_outputs(shell)
    displayed = []
    monkeypatch.setattr(missing, "display", lambda what, **how: displayed.append(what))

    def show_last(what):
        displayed.clear()
        formats, _ = shell.display_formatter.format(what)
        assert bool(formats) != bool(displayed)
        return [*displayed]

    return show_last


@pytest.mark.parametrize("name", ["bars", "a table", "a slide", "a prediction", "a question of it"])
def test_an_output_that_lacks_something_has_an_offer_below_it(name, shown):
    formats, below = shown(CARRIED[name](quantities.harm(BRIEF)))
    assert "text/html" in formats
    assert BRIEF.call() in html.unescape(below.above)


def test_an_estimate_that_lacks_something_has_an_offer_below_it(shown):
    formats, below = shown(quantities.harm(BRIEF))
    assert formats == {"text/plain": NOT_TRAINED}
    assert isinstance(below, TrainButton)


def test_an_output_that_lacks_nothing_is_shown_as_usual(shown):
    assert shown(show.bars({"blurred": [1.0, 2.0]}, "harm")) == []
    assert shown(estimates.estimate([1.0, 2.0])) == []
