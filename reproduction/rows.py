"""The rows of rows.csv: our numbers, and where each lies if a source is right.

Nothing here is a result. A row names what it answers: statements of REPRODUCTION.md, or another
work. Its bounds come from what the source says, never from our forecasts; how near "about" or "no
effect" is was our choice. A row that answers nothing is a question of our own, and its bounds are
what we expected. Of a statement's rows of one size at most one has a star: that whose conditions
are nearest to the source's, and of equally near ones the first that was asked.

Each question of REPRODUCTION.md is a function that gives its rows, see QUESTIONS. Those on Fisher
information, on pruning and on linear networks have modules of their own.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from math import inf

from cplab import quantities as q
from cplab.estimates import Estimate
from cplab.gallery import gaussian_blur, random_labels
from cplab.labs import lab02, lab07
from cplab.runs import Run
from cplab.specs.profiles import PROFILES
from reproduction import fisher_rows, linear, numbers, pruning_rows
from reproduction.row import ABOVE, BELOW, LEVEL, Range, Row
from reproduction.run_rows import (
    ENDS,
    FIXED,
    FLAGSHIP,
    FRESH,
    LATER,
    MORE,
    WHOLE,
    age_row,
    cost_row,
    describe,
    difference_row,
    error_doublings,
    flagship,
    harm_row,
    over_blur_row,
    run,
    title,
    unharmed_row,
)

NO_LATE = "harm from birth alone: no late window was trained"
STEPS = "by steps, onset 4 is the paper's epoch 0.8: its worst onset, near 30, is not reached"
WITHOUT = {"decay-0": "no weight decay", "unaugmented": "no augmentation"}  # by treatment

# Does an early blur leave harm? -------------------------------------------------------------------


def harm_left() -> Iterator[Row]:
    """Rows on what a blur from birth leaves."""
    yield from errors_after_blur("paper", 140)
    yield from errors_after_blur("slim", 140)
    yield from errors_after_blur("course", 16)
    yield from harm_by_size()
    yield from harm_by_length()
    yield from harm_by_recovery()
    yield cost_row("paper 6*", flagship(), LEVEL, q.lost_time)
    yield harm_row("paper 21*", run(16, model="resnet18"), part=NO_LATE)
    yield harm_row("paper 21*", run(180, size="paper", model="resnet18"), part=NO_LATE)
    yield from harm_on_digits()
    yield from harm_with_adam()
    yield harm_row("paper 51", run(140, size="paper", momentum=0))
    description = "longest blur from birth with less than a point of harm, of 24 epochs at most"
    longest = numbers.longest_harmless(run(24))
    idle = "a definition, which predicts no number"
    yield Row("slides 1*", description, "course", longest, (0, 24), idle=idle)


def errors_after_blur(size: str, end: int) -> Iterator[Row]:
    """Test errors after a blur until `end`, and without one."""
    blurred = run(end, size=size)
    clear = Run(onset=end, profile=size)
    after_blur = f"test error after {end} epochs of blur"
    limit = "fewer pixels, and fewer images or kernels" if size == "slim" else ""
    if size != "course":
        error = 100 - q.accuracy(blurred)
        yield Row("paper 1*", f"{after_blur}, %", size, error, (18, inf), limit=limit)
        error = 100 - q.accuracy(clear)
        yield Row("poster 6*", "test error clear, %", size, error, (7, 9), limit=limit)
    description = f"{after_blur}, above the newborn's, doublings"
    number = error_doublings(blurred)
    by_other_clock = None
    if blurred.schedule == "paper":
        by_other_clock = error_doublings(blurred, "running")
    yield Row("paper 2*", description, size, number, (1, 2), digits=2, other=by_other_clock)


def harm_by_size() -> Iterator[Row]:
    """Harm of long blurs at several sizes."""
    yield harm_row("paper 3*", flagship())
    ends = {"course": (16, 8), "slim": (140, 60), "matched": (16, 8), "fit": (24,)}
    for size in ends:
        for end in ends[size]:
            is_nearest = (size, end) == ("slim", 60)  # the paper's: not removed by epoch 60
            answers = "paper 3*, paper 6" if is_nearest else "paper 3, paper 6"
            yield harm_row(answers, run(end, size=size))


def harm_by_length() -> Iterator[Row]:
    """Whether harm rises with the length of the blur, and then no more."""
    for size in ("matched", "course"):
        shorter = run(8, size=size)
        longer = run(16, size=size)
        description = f"harm of {describe(shorter)}, minus what blur adds to it until 16"
        number = q.harm(shorter) - q.advantage(shorter, longer)
        yield Row("paper 4", description, size, number, ABOVE)
    yield difference_row("paper 4*", flagship(48), flagship(16), seeds=FRESH)
    yield difference_row("paper 4", flagship(64), flagship(48), LEVEL, seeds=FRESH)
    lengths = (2, 4, 8, 16, 24, 32, 48)
    for length, next_length in pairwise(lengths):
        yield difference_row("paper 4", flagship(next_length), flagship(length), seeds=FRESH)
    for length in (*lengths, 64):
        yield harm_row("", flagship(length), seeds=FRESH)


def harm_by_recovery() -> Iterator[Row]:
    """Whether longer recovery takes harm away."""
    for length, star in ((48, "*"), (16, "")):
        usual = flagship(length)
        long = flagship(length, recovery=240)
        yield difference_row(f"paper 5{star}", long, usual, LEVEL, seeds=FRESH)
        yield harm_row("paper 5", long, seeds=FRESH)
    for recovery in (120, 240):
        yield harm_row("paper 5", run(16, recovery=recovery))


def harm_on_digits() -> Iterator[Row]:
    """Harm of fully connected networks on MNIST."""
    for answers, size, model, end in (
        ("paper 23", "paper", "fc-1250", 480),
        ("paper 23", "paper", "fc-1250", 240),
        ("paper 23*", "paper", "fc", 480),  # the paper's own width
        ("paper 23*", "mnist", "fc", 32),
    ):
        blurred = run(end, size=size, model=model, dataset="mnist", **FIXED)
        yield harm_row(answers, blurred, digits=2, part=NO_LATE)
        if size == "paper" and end == 480:
            words = describe(blurred)
            error = 100 - q.accuracy(blurred)
            yield Row("paper 23", f"{words}: test error, %", size, error, (0.8, 1.4), 2)
            error = 100 - q.accuracy(blurred.newborn())
            yield Row("paper 23", f"{words}: newborn, test error, %", size, error, (0.8, 1.4), 2)


def harm_with_adam() -> Iterator[Row]:
    """Harm under Adam, at several rates."""
    for size, end in {"course": 16, "fit": 12, "paper": 140}.items():
        yield harm_row("poster 1*", run(end, size=size, optimizer="adam"), part=NO_LATE)
    for rate in (2, 5, 10):
        yield harm_row("poster 1", run(16, optimizer="adam", rate=rate), part=NO_LATE)


# Does it matter when the blur comes? --------------------------------------------------------------


def age() -> Iterator[Row]:
    """Rows on the onset of a blur."""
    yield harm_row("", flagship(), ABOVE, LATER)
    yield harm_row("paper 13", flagship(), ABOVE, range(5))
    yield unharmed_row("paper 11*, slides 2", flagship(onset=24), LATER)
    yield difference_row("paper 13*, slides 2", flagship(), flagship(onset=24))
    digits = run(32, size="mnist", model="fc", dataset="mnist", **FIXED)
    yield harm_row("slides 2*", digits, digits=2)
    yield from flagship_by_onset()
    yield from flagship_on_other_images()
    yield from clear_epochs_behind()
    yield from course_by_onset()
    yield from onset_by_steps()
    yield from whole_schedule_by_onset()


def flagship_by_onset() -> Iterator[Row]:
    """Three blocks, whose blur begins early or late."""
    for onset in (2, 4, 8, 16):
        yield harm_row("paper 13", flagship(onset=onset), ABOVE, LATER)
        yield difference_row("paper 13", flagship(), flagship(onset=onset), seeds=FRESH)
    for length, seeds in product((16, 48), (LATER, FRESH)):
        yield difference_row("paper 13", flagship(length), flagship(length, 24), seeds=seeds)
    yield unharmed_row("paper 11", flagship(onset=48), FRESH)
    yield harm_row("paper 13", flagship(48))
    for seeds, onset in product((FRESH, MORE), (24, 48)):
        yield unharmed_row("paper 11", flagship(48, onset), seeds)


def flagship_on_other_images() -> Iterator[Row]:
    """Three blocks on images of CIFAR-10 that nobody had looked at, and on clothes."""
    for dataset in ("cifar10-part2", "cifar10-part3", "cifar10-part4"):
        early = flagship(dataset=dataset)
        late = flagship(onset=24, dataset=dataset)
        yield harm_row("slides 2", early, ABOVE, FRESH)
        yield difference_row("slides 2", early, late)
    yield harm_row("slides 2", flagship(dataset="fashion_mnist"), ABOVE, FRESH)
    yield unharmed_row("slides 2", flagship(onset=24, dataset="fashion_mnist"), FRESH)


def clear_epochs_behind() -> Iterator[Row]:
    """How many clear epochs a blurred network is behind, and how sure other test images make it."""
    idle = "it says how much is lost, not in which phase of learning"
    for onset, between, between_halves in (
        (0, (16, inf), (0.25, 0.45)),
        (24, (-16, 16), (0.2, 0.4)),
    ):
        blurred = flagship(onset=onset)
        words = describe(blurred)
        epochs = numbers.clear_epochs_behind(blurred)
        description = f"clear epochs behind after {words}"
        yield Row("paper 8", description, "course", epochs, between, looked=True, idle=idle)
        half = lab02.half_by_images(blurred, 24)
        description = f"half the interval over other test images, {words}"
        yield Row("", description, "course", half, between_halves, 2)


def course_by_onset() -> Iterator[Row]:
    """Harm by onset at sizes of one or two cores, where onset 24 is late."""
    early_by_onset = {0: None, 2: True, 4: True, 8: True, 12: True, 16: True, 24: False}
    for onset, early in early_by_onset.items():
        blurred = run(8, onset)
        between = LEVEL if early is False else ABOVE
        description = f"harm of {describe(blurred)}, in clear epochs"
        number = numbers.in_clear_epochs(blurred)
        yield Row("paper 8", description, "course", number, between, early=early, looked=True)
        yield age_row("paper 13", blurred, early)
    yield difference_row("paper 8*", run(8), run(8, 24), cost=numbers.in_clear_epochs, looked=True)
    for onset in (4, 8, 16, 24, 0):
        yield age_row("paper 13", run(12, onset, "matched"), early_by_onset[onset])
    early_on_clothes = {0: None, 4: True, 8: True, 16: False, 24: False}
    for onset, early in early_on_clothes.items():
        yield age_row("slides 2", run(8, onset, dataset="fashion_mnist"), early)
    first = run(8, dataset="fashion_mnist")
    late = run(8, 24, dataset="fashion_mnist")
    yield difference_row("slides 2", first, late)


def onset_by_steps() -> Iterator[Row]:
    """Whether the worst onset is not at birth, as the paper counts epochs."""
    yield harm_row("poster 3*", run(8, size="course"), LEVEL, limit=STEPS)
    yield harm_row("poster 3*", run(12, size="matched"), LEVEL, limit=STEPS)
    for size, length, onset, next_onset in (("course", 8, 2, 4), ("matched", 12, 4, 8)):
        first = run(length, 0, size)
        soon = run(length, onset, size)
        later = run(length, next_onset, size)
        late = run(length, 24, size)
        for answers, cost in (
            ("paper 10*, paper 12*", q.equal_training_loss),  # what the paper draws
            ("paper 10, paper 12", q.harm),
        ):
            description = f"{title(cost)} of {length} epochs of blur at {onset} and {next_onset}, "
            description += "minus that from birth"
            number = 0.5 * (cost(soon) + cost(later)) - cost(first)
            yield Row(answers, description, size, number, ABOVE, limit=STEPS)
        yield cost_row("paper 11", late, LEVEL)
        yield difference_row("paper 13", first, late)


def whole_schedule_by_onset() -> Iterator[Row]:
    """Windows under all of the paper's schedule."""
    birth = run(40, **WHOLE)
    soon = run(40, 20, **WHOLE)
    late = run(40, 80, **WHOLE)
    limit = "the rate falls with the epochs, and of this number there is no second control"
    yield cost_row("paper 9*", birth, (1, 3), limit=limit)
    yield age_row("paper 13", birth, early=None)
    yield age_row("paper 13", soon, early=True)
    yield age_row("paper 11", late, early=False)
    yield unharmed_row("paper 14", replace(soon, deficit="flip"))


# Is it only low-level deficits that harm? ---------------------------------------------------------


def kinds() -> Iterator[Row]:
    """Rows on deficits other than blur."""
    yield harm_row("paper 7", flagship(deficit=gaussian_blur))
    yield difference_row("paper 7*", flagship(), flagship(deficit=gaussian_blur), LEVEL)
    yield from high_level("flip", "*")
    yield from high_level("permute", "")
    yield from noise()
    for deficit, star in (("flip", "*"), ("permute", "")):
        deprived = flagship(deficit=deficit)
        description = f"clear epochs to a newborn's end after {describe(deprived)}, minus its own"
        epochs = numbers.epochs_to_newborn(deprived)
        yield Row(f"paper 15{star}", description, "course", epochs, BELOW, 0)
    yield from blank()
    yield from learned_labels()


def blank() -> Iterator[Row]:
    """A blank input, which in the paper leaves a network unable to train: near chance, which is
    10 %. The paper's network has batch norm, `plain` has none."""
    for model, star in (("allcnn", "*"), ("plain", "")):
        blind = run(16, deficit="blank", model=model)
        description = f"accuracy after {describe(blind)}, %"
        yield Row(f"paper 19{star}", description, "course", q.accuracy(blind), (5, 15))
    part = "it trains, and stays behind"
    yield harm_row("paper 19", run(16, deficit="blank", model="plain"), part=part)


def high_level(deficit: str, star: str) -> Iterator[Row]:
    """A deficit that leaves low-level statistics as they are."""
    yield unharmed_row(f"paper 14{star}", flagship(deficit=deficit), LATER)
    yield unharmed_row("paper 14", flagship(48, 0, deficit), FRESH)
    yield unharmed_row("paper 14", flagship(16, 24, deficit), FRESH)
    for size, end in ENDS.items():
        if deficit == "permute" and size in ("fit", "matched"):
            continue  # not trained
        deprived = run(end, size=size, deficit=deficit)
        yield unharmed_row("paper 14", deprived)
        if deprived.schedule == "recovery":
            yield cost_row("paper 14", deprived, LEVEL, harmless=True)
        yield over_blur_row("paper 14", deprived)


def noise() -> Iterator[Row]:
    """Noise in place of images, against blur."""
    yield harm_row("paper 16*", flagship(deficit="noise"), ABOVE, LATER)
    yield harm_row("paper 16", flagship(48, 0, "noise"), ABOVE, FRESH)
    early = flagship(16, 0, "noise")
    late = flagship(16, 24, "noise")
    yield difference_row("paper 16", early, late, seeds=FRESH)
    for size, end in {"course": 16, "slim": 140, "paper": 160}.items():
        yield harm_row("paper 16", run(end, size=size, deficit="noise"))
        yield over_blur_row("paper 17", run(min(end, 140), size=size, deficit="noise"))
    for end, star in ((16, ""), (48, "*")):
        yield difference_row(f"paper 17{star}", flagship(end), flagship(end, 0, "noise"))
    for recovery in (120, 240):
        yield over_blur_row("paper 17", run(16, deficit="noise", recovery=recovery))
    yield harm_row("paper 16", run(16, deficit="fresh_noise"))
    number = noise_above_blur(run(24)) - noise_above_blur(run(16))
    description = "what epochs 16 to 24 add to noise's harm above blur's"
    yield Row("paper 18", description, "course", number, ABOVE)
    number = noise_above_blur(flagship(48)) - noise_above_blur(flagship(16))
    description = "what epochs 16 to 48 add to noise's harm above blur's, three blocks"
    yield Row("paper 18*", description, "course", number, ABOVE, looked=True)


def noise_above_blur(blurred: Run) -> Estimate:
    """Points of harm of noise above those of as much blur."""
    return q.harm(replace(blurred, deficit="noise")) - q.harm(blurred)


def learned_labels() -> Iterator[Row]:
    """Random labels, with and without weight decay; and with both decay and augmentation later."""
    without = run(40, deficit=random_labels, size="matched", weight_decay=0)
    yield from uncured_and_cured(without, replace(without, weight_decay=0.01))
    bare = run(40, deficit=random_labels, model="allcnn-32")
    without = replace(bare, treatments="decay-0@0 unaugmented@0")
    cured = replace(bare, treatments="decay-0@0+40 unaugmented@0+40")
    yield from uncured_and_cured(without, cured)


def uncured_and_cured(without: Run, cured: Run) -> Iterator[Row]:
    """The harm of random labels without what should cure it, and with it."""
    yield harm_row("Liu 2020", without)
    yield harm_row("Liu 2020", cured, (-inf, 1))
    yield difference_row("Liu 2020", without, cured)


# Does it come from the falling learning rate? -----------------------------------------------------


def rate() -> Iterator[Row]:
    """Rows on schedules of the learning rate."""
    yield harm_row("Pawlak 2025", flagship(treatments="rate-3@16+20"), LEVEL)
    raised = Run(**FLAGSHIP, treatments="rate-3@0+20")
    gain = q.advantage(raised, replace(raised, treatments=""))
    description = "a clear run whose rate starts three times as high: gain"
    yield Row("", description, "course", gain, (-1, 2))
    yield harm_row("paper 24*", flagship())
    yield from fixed_rates()
    yield from other_schedules()
    for end in (8, 24):
        yield harm_row("", run(end, size="fit"), clock="running")
    for end in (60, 140):
        yield harm_row("", run(end, size="slim"), clock="running")


def fixed_rates() -> Iterator[Row]:
    """A rate that never changes, against one that falls."""
    idle = "less harm after 8 epochs is not a longer time scale"
    yield difference_row("paper 25*", run(8, **FIXED), run(8), BELOW, idle=idle)
    at_8 = q.harm(run(8, **FIXED)) - q.harm(run(8))
    at_16 = q.harm(run(16, **FIXED)) - q.harm(run(16))
    description = "what epochs 8 to 16 of blur add to the harm at a fixed rate above one that falls"
    yield Row("paper 25", description, "course", at_16 - at_8, ABOVE)


def other_schedules() -> Iterator[Row]:
    """Schedules that are not the usual ones of a size, and the paper's at several paces."""
    for size, schedule in product(("course", "paper"), ("fixed", "paper", "recovery")):
        if PROFILES[size].schedule != schedule:
            blurred = run(ENDS[size], size=size, schedule=schedule)
            yield harm_row("paper 24", blurred)
            yield over_blur_row("paper 24", replace(blurred, deficit="flip"))
    yield harm_row("paper 24", run(400, size="paper", **FIXED))
    for pace in (10, 5, 2, 1):
        yield over_blur_row("paper 24", until_140("flip", pace))
    yield over_blur_row("paper 24", replace(until_140("flip"), momentum=0.0))
    yield over_blur_row("paper 24", replace(until_140("flip"), augment=False))
    for deficit, pace in product(("flip", "permute"), (10, 1)):
        yield unharmed_row("paper 14", until_140(deficit, pace))
    for deficit in ("blur", "noise"):
        for end in (60, 140):
            yield harm_row("", run(end, deficit=deficit, **WHOLE), clock="running")
    for deficit in ("flip", "permute"):
        for end in (60, 140):
            yield unharmed_row("", run(end, deficit=deficit, **WHOLE), clock="running")


def until_140(deficit: str, pace: int = 1) -> Run:
    """A deficit until the paper's epoch 140 under its schedule, where an epoch stands for `pace`
    of the paper's."""
    conditions = WHOLE | {"pace": pace, "recovery": 160 // pace}
    return run(140 // pace, deficit=deficit, **conditions)


# Which networks are harmed? -----------------------------------------------------------------------


def networks() -> Iterator[Row]:
    """Rows on depth, width and the settings of training."""
    yield from by_depth("course", 16, recovery=60)
    yield from by_depth("course", 16)
    yield from by_depth("paper", 240)
    for model in ("depth1", "depth2"):
        yield harm_row("slides 3", flagship(model=model), ABOVE, FRESH)
        yield unharmed_row("slides 3", flagship(onset=24, model=model), FRESH)
        yield unharmed_row("slides 3", flagship(deficit="flip", model=model), FRESH)
    yield difference_row("paper 22*", run(16, model="resnet18"), run(16))
    yield difference_row("page 1*", run(16, model="allcnn-48"), run(16, model="allcnn-8"))
    yield harm_row("poster 2*", run(16, rate=0.5))
    yield harm_row("poster 2", run(16, rate=2))
    yield harm_row("poster 2", run(16, batch=64))
    yield harm_row("poster 2", run(16, batch=256))
    no_decay = run(16, weight_decay=0)
    much_decay = run(16, weight_decay=0.01)
    yield difference_row("poster 2, slides 3", no_decay, much_decay, looked=True)


def by_depth(size: str, end: int, recovery: int | None = None) -> Iterator[Row]:
    """Networks of one, two and three blocks at a fixed rate; those with a recovery of their own are
    nearest to the source's."""
    shallow = run(end, size=size, model="depth1", recovery=recovery, **FIXED)
    middle = replace(shallow, model="depth2")
    deep = replace(shallow, model="depth3")
    for net in (shallow, middle, deep):
        yield harm_row("slides 3", net)
    if recovery:
        yield difference_row("paper 26*, slides 3", deep, middle)
        yield difference_row("paper 26, slides 3*", middle, shallow)
    else:
        for cost in (q.harm, q.equal_training_loss):
            yield difference_row("paper 26", deep, middle, cost=cost)
            yield difference_row("paper 26", middle, shallow, cost=cost)
    if size == "course":
        yield difference_row("paper 26", deep, replace(deep, model="depth1-68"))


# Do two eyes compete? -----------------------------------------------------------------------------


def two_eyes() -> Iterator[Row]:
    """Rows on networks with two eyes, convolutional and linear."""
    closed = one_eye("blank:right")
    squint = one_eye("strabismus:right")
    blurred = one_eye("blur:right")
    for star, deprived, reading, number in (
        ("*", closed, "that eye alone", -lab07.acuity_loss(closed)),
        ("", closed, "its share of the neurons", numbers.share_gain(closed)),
        ("", squint, "both eyes", -lab07.acuity_loss(squint, "both")),
        ("", blurred, "its share of the neurons", numbers.share_gain(blurred)),
    ):
        deficit = deprived.deficit.removesuffix(":right")
        description = f"right eye, 8 epochs of {deficit}: {reading}, above the newborn"
        yield Row(f"page 3{star}", description, "course", number, BELOW)
    late = one_eye("blank:right", onset=16)
    description = "share lost to 8 closed epochs from birth, minus that lost at onset 16"
    number = numbers.share_gain(late) - numbers.share_gain(closed)
    yield Row("page 3", description, "course", number, ABOVE)
    shorter = one_eye("blank:right", length=4)
    longer = one_eye("blank:right", length=16)
    description = "share of an eye closed for 16 epochs, minus 4"
    number = numbers.share_gain(longer) - numbers.share_gain(shorter)
    yield Row("page 3", description, "course", number, BELOW)
    description = "right eye after 8 epochs of blur of both eyes, above blur of it alone"
    number = lab07.acuity(one_eye("blur")) - lab07.acuity(blurred)
    yield Row("paper 20*", description, "course", number, ABOVE)
    yield from linear.rows()


def one_eye(deficit: str, length: int = 8, onset: int = 0) -> Run:
    """A run of a network with two eyes."""
    return run(length, onset, deficit=deficit, model="eyes")


# What is lost if something is missing early, and what gives it back? ------------------------------


def reopening() -> Iterator[Row]:
    """Rows on treatments."""
    yield from renormed("noise", (2.5, 4.5), (3.5, 5))
    yield from renormed("blur", (-0.5, 0.7), (0.3, 1.8))
    golatkar = "Golatkar 2019"
    never = ", above never"
    yield treated_row("poster 5*", 2, "shrink-0.9@2", "weights perturbed after 2 epochs", ABOVE)
    yield treated_row(
        "poster 5",
        24,
        "shrink-0.9@24",
        "weights perturbed after 24 epochs",
        LEVEL,
        harmless=True,
    )
    for treatment, missing in WITHOUT.items():
        description = f"{missing} in the first 8 epochs"
        yield treated_row(golatkar, 8, f"{treatment}@0+8", description, ABOVE)
    yield treated_row(
        golatkar,
        8,
        "decay-0@0+8",
        f"weight decay only after 8 epochs{never}",
        LEVEL,
        control="decay-0@0",
    )
    yield treated_row(
        golatkar,
        8,
        "unaugmented@0+8",
        f"augmentation only after 8{never}",
        LEVEL,
        control="unaugmented@0",
    )
    for treatment, missing in WITHOUT.items():
        description = f"{missing} from epoch 8 on"
        yield treated_row(golatkar, 8, f"{treatment}@8", description, LEVEL)
    description = "half of the images for 8 epochs"
    yield halved_row("images-0.5@0+8", description, ABOVE)
    description = "half of the images for 8 epochs, then shrunk and perturbed"
    yield halved_row("images-0.5@0+8 shrink-0.4@8", description, LEVEL, harmless=True)
    yield unharmed_row("Ash 2020", run(16, treatments="shrink-0.4@16"))


def renormed(deficit: str, between: Range, above_sham: Range) -> Iterator[Row]:
    """What renorm gives back after a deficit, and its sham, which shrinks all weights alike."""
    plain = run(16, deficit=deficit)
    treated = replace(plain, treatments="renorm@16")
    sham = replace(plain, treatments="shrink-1@16")
    after = f"after 16 epochs of {deficit}"
    gain = q.advantage(treated, plain)
    yield Row("", f"renorm {after}", "course", gain, between)
    gain = q.advantage(sham, plain)
    yield Row("", f"the sham of renorm {after}", "course", gain, (-0.7, 0.7))
    gain = q.advantage(treated, sham)
    yield Row("", f"renorm above its sham {after}", "course", gain, above_sham)


def treated_row(
    answers: str,
    onset: int,
    treatments: str,
    description: str,
    between: Range,
    control: str = "",
    harmless: bool = False,
) -> Row:
    """A row with what treatments cost a clear run, against other ones (`control`) or none."""
    treated = Run(onset=onset, treatments=treatments)
    loss = q.advantage(replace(treated, treatments=control), treated)
    return Row(answers, f"{description}: loss", "course", loss, between, harmless=harmless)


def halved_row(treatments: str, description: str, between: Range, harmless: bool = False) -> Row:
    """A row with what a clear run of fewer images loses against its newborn."""
    loss = -q.gain_over_newborn(Run(onset=8, treatments=treatments))
    description += ": loss against the newborn"
    return Row("Ash 2020", description, "course", loss, between, harmless=harmless)


QUESTIONS = {
    "Does an early blur leave harm?": harm_left,
    "Does it matter when the blur comes?": age,
    "Is it only low-level deficits that harm?": kinds,
    "Does it come from the falling learning rate?": rate,
    "Which networks are harmed?": networks,
    "Does the trace of the Fisher information show it?": fisher_rows.trace,
    "In which layers is the information?": fisher_rows.layers,
    "Do growth and pruning find good networks?": pruning_rows.prunings,
    "Do two eyes compete?": two_eyes,
    "What is lost if something is missing early, and what gives it back?": reopening,
}
