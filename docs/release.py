"""Write the address of the repository, and the version, wherever they stand.

    python docs/release.py https://github.com/OWNER/cplab      the address
    python docs/release.py --version 0.2.0                     the version, and today as its date
    python docs/release.py none                                no address, as before it was known

The address is kept in cplab/teach/site.py, for the site. From it follow the badges and the first
link of README.md, and the links of pyproject.toml and CITATION.cff.
What depends on it is written anew each time, so nothing is ever written twice.
"""

import argparse
import datetime
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)/?$")
BADGES = re.compile(r"(?<=<!-- badges -->\n).*?(?=<!-- /badges -->)", re.S)
TRY = re.compile(r"(?<=<!-- try -->\n).*?(?=<!-- /try -->)", re.S)
URLS = re.compile(r"\[project\.urls\]\n(?:.+\n)*\n")
CITED = re.compile(r"^(?:repository-code|url): .*\n", re.M)
FIRST_LAB = "labs/00_a_critical_period_in_a_minute.ipynb"


def main(words: list[str] | None = None) -> None:
    """Read the command and write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("address", nargs="?", help="https://github.com/OWNER/NAME, or none")
    parser.add_argument("--version", help="such as 0.2.0")
    options = parser.parse_args(words)
    if options.address is None and options.version is None:
        parser.error("give an address, a version, or both")
    if options.address:
        if options.address != "none" and not ADDRESS.match(options.address):
            parser.error(f"{options.address}: give https://github.com/OWNER/NAME, or none")
        write_address("" if options.address == "none" else options.address.rstrip("/"))
    if options.version:
        if not re.fullmatch(r"\d+\.\d+\.\d+", options.version):
            parser.error(f"{options.version}: give three numbers, such as 0.2.0")
        write_version(options.version)


def change(name: str, pattern: str | re.Pattern, text: str) -> None:
    """Write a text in the place of a pattern in a file, which has to be there once."""
    path = ROOT / name
    new, count = re.subn(pattern, lambda _: text, path.read_text("utf-8"))
    if count != 1:
        raise SystemExit(f"{name}: {pattern} is there {count} times, not once")
    path.write_text(new, "utf-8")


def write_address(address: str) -> None:
    """Write the address, "" for none, and all that follows from it."""
    change("cplab/teach/site.py", r'REPOSITORY = ".*"', f'REPOSITORY = "{address}"')
    change("README.md", BADGES, badges(address))
    change("README.md", TRY, try_it(address))
    path = ROOT / "pyproject.toml"
    text = URLS.sub("", path.read_text("utf-8"))
    path.write_text(
        text.replace("[project.scripts]\n", urls(address) + "[project.scripts]\n"), "utf-8"
    )
    path = ROOT / "CITATION.cff"
    text = CITED.sub("", path.read_text("utf-8"))
    cited = f"repository-code: {address}\nurl: {site(address)}\n" if address else ""
    path.write_text(text.replace("license:\n", f"{cited}license:\n", 1), "utf-8")


def site(address: str) -> str:
    """Where GitHub Pages shows the site of a repository."""
    owner, name = ADDRESS.match(address).groups()  # type: ignore[union-attr]
    return f"https://{owner.lower()}.github.io/{name}/"


def try_it(address: str) -> str:
    """The line in README.md that leads to the first screen: on the site, or in a clone."""
    if not address:
        line = "**[Open this one file](docs/first_screen.html)** by a double click"
    else:
        line = f"**[Try it now]({site(address)})**"
    return f"{line}: networks grow up in your browser.\n"


def badges(address: str) -> str:
    """The line of badges in README.md: Colab, Codespaces, Binder."""
    if not address:
        return ""
    owner, name = ADDRESS.match(address).groups()  # type: ignore[union-attr]
    place = f"{owner}/{name}"
    binder = f"https://mybinder.org/v2/gh/{place}/HEAD?urlpath=lab/tree/{FIRST_LAB}"
    links = [
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{place}/blob/HEAD/{FIRST_LAB})",
        "[![Open in Codespaces](https://github.com/codespaces/badge.svg)]"
        f"(https://codespaces.new/{place})",
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})",
    ]
    return " ".join(links) + "\n"


def urls(address: str) -> str:
    """The section of links in pyproject.toml."""
    if not address:
        return ""
    lines = {"Repository": address, "Documentation": site(address), "Issues": f"{address}/issues"}
    text = "".join(f'{name} = "{link}"\n' for name, link in lines.items())
    return f"[project.urls]\n{text}\n"


def write_version(version: str) -> None:
    """Write the version, and today as the date of its release."""
    change("pyproject.toml", r'(?m)^version = ".*"', f'version = "{version}"')
    change("CITATION.cff", r"(?m)^version: .*", f"version: {version}")
    today = datetime.date.today().isoformat()
    change("CITATION.cff", r"(?m)^date-released: .*", f"date-released: {today}")


if __name__ == "__main__":
    main()
