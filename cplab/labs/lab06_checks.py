"""The answers to lab 06's exercises."""

from cplab import models
from cplab.estimates import half_width, seeds_needed
from cplab.lab.questions.checks import Answer, exercise
from cplab.labs import lab06
from cplab.runs import Run
from cplab.specs.profiles import PROFILES

THREE = Run("blur", length=16, model="depth3", schedule="fixed", recovery=60)
ONE = THREE.replace(model="depth1")


@exercise("06-1", "parameters of three blocks of width 96")
def count_parameters() -> Answer:
    """How many parameters three blocks of width 96 have."""
    net = models.build("depth3-96", 3, PROFILES["course"].size)
    total = 0
    vectors = 0  # parameters of batch norm, and the last layer's ten biases
    for parameter in net.parameters():
        total += parameter.numel()
        if parameter.dim() == 1:
            vectors += parameter.numel()
    one_block = lab06.parameters(ONE.replace(model="depth1-96"))
    mistakes = {
        "The last layer has a bias, a number for each class": total - 10,
        "Batch norm has two numbers for each channel": total - (vectors - 10),
        "That is one block of this width": one_block,
    }
    return Answer(total, mistakes)


@exercise("06-3", "the width")
def narrow_and_deep() -> Answer:
    """The width at which three blocks have as few parameters as one has."""
    models.build(THREE.model, 3, PROFILES["course"].size)  # without torch, it raises and says so
    usual = PROFILES["course"].width
    few = lab06.parameters(ONE) or 0
    many = lab06.parameters(THREE) or 1
    in_proportion = round(usual * few / many)
    differences = {}  # by width
    for width in range(1, usual + 1):
        as_many = lab06.parameters(THREE.replace(model=f"depth3-{width}")) or 0
        differences[width] = abs(as_many - few)
    right = min(differences, key=lambda width: differences[width])
    mistakes = {
        "That is section 2's, of one block as large as three: do the reverse": 17 * usual // 4,
        "Weights grow with the square of the width: the width shrinks by the root": in_proportion,
        "That is the width of one block: three blocks of it are larger": usual,
    }
    return Answer(right, mistakes)


@exercise("06-4", "seeds")
def half_the_interval() -> Answer:
    """How many seeds have an interval half as long as that of five."""
    half_of_five = float(half_width(1, 5))
    seeds = seeds_needed(half_of_five / 2)
    mistakes = {
        "Four times as many would do if Student's factor stayed; it falls too": 20,
        "Twice as many do not halve it: it falls as 1/√n": 10,
        "That is how many more: how many in all?": seeds - 5,
    }
    return Answer(seeds, mistakes)
