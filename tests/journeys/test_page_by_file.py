"""A page that was opened as a file, without a network: trained, answered, handed in, and read."""

from browser import plain_page
from person import answer, hand_in, train

from cplab import show


def test_a_page_by_file_trains_and_hands_in_and_asks_nobody(chromium, site, answers):
    asked = []
    with plain_page(chromium, offline=True) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.get_by_role("link", name="A critical period in a minute").first.click()
        assert "points" in train(page)
        answer(page)
        said = hand_in(page, page, "Eve", answers)
    others = [address for address in asked if not address.startswith(("file:", "data:", "blob:"))]
    assert others == []
    assert len(asked) >= 2
    [row] = show.class_table(answers).to_dict("records")
    assert (row["name"], row["answers"], row["guesses"]) == ("Eve", said.answers, said.guesses)
    assert row["file"] == said.file.name
