"""A researcher's afternoon: the blocks of README and of the reference, as they stand and in their
order, in an empty folder; then the same at the size `tiny`, edited, and a table for others. Twenty
seeds are two here, 200 epochs 20, and a cluster has one process; a longer journey has the block of
README as it stands."""

import asyncio
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from notebook import open_notebook
from person import command
from PIL import Image

ROOT = Path(__file__).parents[2]
TEXTS = [ROOT / "README.md", ROOT / "docs/reference.md"]
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", "\n".join(path.read_text("utf-8") for path in TEXTS), re.S | re.M
)
TABLE = """table = cplab.harm_table(results)
table.to_csv("harm.csv")
print(covered.key, cplab.quantities.harm(covered).mean)"""
PETS = (
    """print(cplab.run(deficit="blur", length=2, recovery=1, profile="tiny", dataset=pets).key)"""
)


def block_with(words):
    """The one block that has some words, as it stands."""
    [block] = [block for block in BLOCKS if words in block]
    return block


def made_brief(block):
    """The block with fewer seeds, epochs and processes."""
    long = {"range(20)": "range(2)", "length=200": "length=20", "n_workers=4": "n_workers=1"}
    for words, brief in long.items():
        block = block.replace(words, brief)
    return block


def at_size_tiny(block):
    """The block, after a researcher has changed its size."""
    assert 'profile="ci"' in block
    return block.replace('profile="ci"', 'profile="tiny"')


def take_photographs(folder):
    """Pictures in a folder for each class, as a camera leaves them."""
    generator = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        for part in ("train", "test"):
            (folder / "pets" / part / kind).mkdir(parents=True)
            for number in range(20):
                pixels = generator.integers(0, 256, (40, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "pets" / part / kind / f"{number}.png")


async def afternoon(folder):
    """What the cells print, by what they are about."""
    deficit = made_brief(block_with("def occlude"))
    functions = block_with("def shallow")
    treatment = block_with("def halve")
    edited = deficit.replace("rows: int = 6", "rows: int = 3")
    async with open_notebook(folder) as run:
        said = {"deficit": await run(deficit), "first": await run(TABLE)}
        await run(block_with("ImageFolder"))
        said["pets"] = await run(PETS)
        for block in (functions, at_size_tiny(functions), treatment, at_size_tiny(treatment)):
            await run(block)
        said["networks"] = await run('print(cplab.results_table(profile="tiny", measure=norm))')
        said["experiment"] = await run("cplab.results_table(growth)[['length', 'ratio']]")
        said["edited"] = await run(edited)
        said["second"] = await run(TABLE)
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder, which has nothing but photographs."""
    folder = tmp_path_factory.mktemp("afternoon")
    take_photographs(folder)
    return folder


@pytest.fixture(scope="module")
def said(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPLAB_WORKERS", "1")  # each of which loads torch
        return asyncio.run(afternoon(folder))


def test_the_readme_s_deficit_gives_a_table_and_a_figure(said):
    assert "occlude" in said["deficit"]
    assert "<img" in said["deficit"]


def test_an_edited_deficit_has_a_new_key_and_new_numbers(said):
    first_key, first_harm = said["first"].split()
    second_key, second_harm = said["second"].split()
    assert first_key != second_key
    assert float(first_harm) != float(second_harm)


def test_images_of_one_s_own_are_trained_on(said):
    assert re.fullmatch(r"[0-9a-f]{16}\n", said["pets"])


def test_the_reference_s_own_functions_train_at_the_size_to_which_its_texts_send_one(said):
    assert "shallow" in said["networks"]
    assert said["experiment"].count("<tr") == 1 + 2  # a row for each length


def test_the_table_is_read_by_others(said, folder):
    table = pd.read_csv(folder / "harm.csv")
    assert len(table) == 3  # the deficit and its two controls
    [harmed] = table[table.harm.notna()].to_dict("records")
    assert harmed["seeds"] == 2


def test_the_reference_s_sweep_on_a_cluster_can_be_a_file(folder):
    """The results that it asks for are shipped."""
    lines = made_brief(block_with("LocalCluster")) + "print(len(results), results[0].source)\n"
    (folder / "many.py").write_text(lines.replace("print", "    print"), "utf-8")
    assert command(folder, "python", "many.py").split() == ["15", "shipped"]


@pytest.mark.journey_long
def test_the_readme_s_deficit_has_an_interval_that_can_tell(tmp_path):
    """Its twenty networks, of which README says what they show."""

    async def as_it_stands():
        async with open_notebook(tmp_path) as run:
            await run(block_with("def occlude"))
            return await run("harm = cplab.quantities.harm(covered)\nprint(harm.mean, harm.half)")

    mean, half = map(float, asyncio.run(as_it_stands()).split())
    assert 0 < half < mean
