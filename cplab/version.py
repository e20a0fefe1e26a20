"""The version of the package, which pyproject.toml and CITATION.cff have as well."""

VERSION = "0.1.0"
