"""A class in one picture: codes that hold an answer alone, and what is drawn of them."""

import re

import pytest
from conftest import says
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cplab import Run, lab
from cplab.checks import CplabError
from cplab.lab.classes import LONGEST_CODE, MOST_CODES, Answer, answers_in, code_of, decode, encode

ANSWERS = st.builds(
    Answer,
    st.binary(min_size=3, max_size=3).map(bytes.hex),
    st.lists(st.integers(0, 255), min_size=1, max_size=40).map(tuple),
)
OTHER = lab.choice("Which?", ["this", "that", "neither"], lambda: ["That."])


def choice():
    return lab.choice("Does it last?", ["yes", "no"], lambda: ["It does."])


def columns(figure, *names):
    """Of each glyph that has these columns, its points."""
    found = []
    for renderer in figure.renderers:
        data = renderer.data_source.data
        where = [getattr(renderer.glyph, name, None) for name in names]
        if all(isinstance(one, str) and one in data for one in where):
            found.append(list(zip(*(data[one] for one in where), strict=True)))
    return found


@given(ANSWERS)
def test_a_code_gives_the_answer_back_however_it_is_typed(answer):
    code = encode(answer)
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{1,4}(-[0-9A-HJKMNP-TV-Z]{1,4})*", code)
    slurred = code.lower().replace("0", "o").replace("1", "l").replace("-", "")
    assert len(code) <= LONGEST_CODE
    assert decode(code) == decode(f" {code}\n") == decode(slurred) == answer


@given(ANSWERS, st.integers(0, 200), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_a_slip_in_copying_is_found(answer, place, other):
    code = encode(answer).replace("-", "")
    slip = code[: place % len(code)] + other + code[place % len(code) + 1 :]
    for wrong in {slip, code[:-1], code + other} - {code}:
        with pytest.raises(CplabError):
            decode(wrong)


@settings(max_examples=300)
@given(st.one_of(st.text(), st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ-", max_size=120)))
@example("__import__('os').system('true')")
@example("A" * 10_000)
@example("0" * 99)
def test_whatever_is_pasted_is_read_as_a_code_or_refused_in_one_line(text):
    question = choice()
    found, refused = answers_in(text, question)
    assert not found
    assert all("\n" not in line and len(line) < 200 for line in refused)
    with pytest.raises(CplabError) as error:
        decode(text)
    says(error)


def test_too_much_at_a_time_is_refused():
    with pytest.raises(CplabError) as error:
        lab.class_picture(choice(), "0" * (LONGEST_CODE * MOST_CODES + 1))
    says(error, MOST_CODES)


def test_codes_of_another_question_are_left_out_and_named():
    mine, question = choice(), choice()
    for one, value in ((mine, "no"), (OTHER, "that")):
        one.controls["answer"].value = value
    found, refused = answers_in(f"{code_of(mine)}, {code_of(OTHER)} nonsense!", question)
    assert found == [(1,)]
    assert [code_of(OTHER) in refused[0], "nonsense!" in refused[1]] == [True, True]


def test_the_same_answers_to_another_question_are_left_out():
    other = lab.choice("Does it heal?", ["yes", "no"], lambda: ["It does."])
    assert answers_in(code_of(other), choice())[0] == []


def test_an_answer_out_of_range_is_left_out():
    question = choice()
    known = decode(code_of(question))
    forged = encode(Answer(known.question, (2,)))
    assert answers_in(forged, question)[0] == []
    assert answers_in(encode(Answer(known.question, (1, 1))), question)[0] == []


def test_the_choices_of_a_class_are_counted():
    codes = []
    for answer in ("yes", "no", "no"):
        question = choice()
        question.controls["answer"].value = answer
        codes.append(code_of(question))
    figure = lab.class_picture(choice(), "\n".join(codes))
    assert "3 answers" in figure.title.text
    assert columns(figure, "y", "right") == [[("yes", 1), ("no", 2)]]


def test_the_guesses_of_a_class_stand_above_what_was_measured():
    asked = {"blur": Run("blur", length=16), "flip": Run("flip", length=16)}
    codes = []
    for guess in (50, 50, 71.5):
        question = lab.Prediction({}, asked)
        question.guesses["blur"].value, question.guesses["flip"].value = guess, 10
        codes.append(code_of(question))
    figure = lab.class_picture(question, " ".join(codes))
    blur, flip, measured = columns(figure, "x", "y")
    assert [x for x, _ in blur] == [0.5, 0.5, 0.715]
    assert len({*blur}) == 3  # equal guesses are seen as two
    assert {y[0] for _, y in blur} == {"blur"}
    assert [x for x, _ in flip] == [0.1] * 3
    truth = question.truth()
    assert [(x, y[0]) for x, y in measured] == [(truth[name][0], name) for name in asked]


def test_the_places_that_a_class_gave_are_counted_beside_the_measured_ones():
    runs = {"blur": Run("blur", length=16), "flip": Run("flip", length=16)}
    codes = []
    for best, worst in (("blur", "flip"), ("flip", "blur"), ("flip", "blur")):
        question = lab.Ranking(runs)
        question.controls["best"].value, question.controls["worst"].value = best, worst
        codes.append(code_of(question))
    figure = lab.class_picture(question, "\n".join(codes))
    texts = [r.glyph for r in figure.renderers if hasattr(r.glyph, "text")]
    assert len(texts) == 4
    [measured] = [c for c in columns(figure, "x", "y") if len(c) == 2]
    assert measured == [("1", "flip"), ("2", "blur")]


def test_an_order_that_names_one_twice_is_left_out():
    question = lab.Ranking({"blur": Run("blur", length=16), "flip": Run("flip", length=16)})
    forged = encode(Answer(decode(code_of(question)).question, (1, 1)))
    with pytest.raises(CplabError) as error:
        lab.class_picture(question, forged)
    says(error, "place")


def test_under_a_revealed_question_the_code_is_shown_and_the_class_is_drawn():
    question = choice()
    assert question.together.layout.display == "none"
    question.controls["answer"].value = "no"
    question.reveal.click()
    assert question.together.layout.display == ""
    assert code_of(question) in question.together.code.value
    question.together.codes.value = f"{code_of(question)}\n<b>x</b>"
    assert question.together.picture.children[0].page.title.text == "1 answer"
    assert "<b>" not in question.together.message.value
    question.together.codes.value = "<script>"
    assert "<script>" not in question.together.message.value
    assert "allowed" in question.together.message.value
