"""The first screen as one file, docs/first_screen.html, which holds all that it needs.

python docs/first_screen.py        writes it anew, in seconds
"""

from pathlib import Path

from cplab.lab.nursery import nursery
from cplab.teach import site

FILE = Path(__file__).with_suffix(".html")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1040px; padding: 0 12px; }}
h1 {{ font-size: 26px; margin: 16px 0; }}
main > :is(p, ol) {{ max-width: 38em; }}
[data-jp-theme-light=false] {{ background: #111; color: #eee; }}
</style>
<body>
<script>
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
document.body.dataset.jpThemeLight = !dark;
</script>
<main>
<h1>{title}</h1>
{screen}
<script>{script}</script>
{about}
<p>The labs go on from here: README.md, beside this file's folder, says how to open them.</p>
</main>
</html>
"""


def page() -> str:
    """The page, as HTML."""
    parts = {"screen": nursery.page(), "script": nursery.SCRIPT, "about": site.about()}
    return PAGE.format(title=site.SITE_TITLE, **parts)


if __name__ == "__main__":
    FILE.write_text(page(), "utf-8", newline="\n")
    print(f"{FILE.stat().st_size // 1000} kB: {FILE}")
