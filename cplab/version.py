"""The version of the package, and the address of its repository, "" as long as it has none.

`python docs/release.py` writes both, and what follows from them in other files.
"""

VERSION = "0.1.0"
REPOSITORY = ""

if __name__ == "__main__":
    print(VERSION)
