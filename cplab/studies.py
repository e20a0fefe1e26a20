"""What was computed beside the runs (architectures, their retraining), kept and found like records.

A study is described by a frozen dataclass, its spec, whose fields decide its values, all plain
data. Shipped ones stand in shipped/studies/*.parquet, the user's own as JSON in the cache
directory; both carry a checksum over all that they say.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from cplab import records
from cplab.experiment import PROTOCOL, CplabError, cache_dir
from cplab.records import checksum, commit, warn


@dataclass(frozen=True)
class Study:
    """A study that was computed.

    spec: its canonical string. values: plain data (numbers, texts, lists, dictionaries of these).
    device, threads, torch, commit: how it was computed. source: `shipped` or `live`.
    """

    spec: str
    values: dict
    device: str
    threads: int
    torch: str
    commit: str
    source: str = "live"

    @property
    def key(self) -> str:
        return key(self.spec)

    def plain(self) -> dict:
        rest = {f.name: getattr(self, f.name) for f in fields(self)[:-1]}
        return {"key": self.key, "protocol": PROTOCOL, **rest}


def canonical(spec) -> str:
    """All fields of a spec by name, after the name of its class."""
    pairs = (f"{f.name}={getattr(spec, f.name)}" for f in fields(spec))
    return " ".join([type(spec).__name__, f"protocol={PROTOCOL}", *pairs])


def key(canonical: str) -> str:
    """16 hexadecimal digits: the name of a study."""
    return sha256(canonical.encode()).hexdigest()[:16]


def parse(text: str, source: str) -> Study:
    """A Study out of its JSON. Raises ValueError if anything is off."""
    try:
        plain = json.loads(text)
        said = plain.pop("checksum")
        if checksum(plain) != said:
            raise ValueError("its checksum does not fit")
        study = Study(**{f.name: plain[f.name] for f in fields(Study)[:-1]}, source=source)
        if plain["key"] != study.key or plain["protocol"] != PROTOCOL:
            raise ValueError("its key or protocol does not fit")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it cannot be read ({error!r})") from error
    return study


def written(study: Study) -> str:
    """The JSON that `parse` reads."""
    plain = study.plain()
    return json.dumps({**plain, "checksum": checksum(plain)})


# Finding ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def shipped() -> dict[str, str]:
    """The JSON of each shipped study, by key."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = {}
    for path in sorted((records.SHIPPED / "studies").glob("*.parquet")):
        try:
            with pq.ParquetFile(path) as file:  # pq.read_table imports pandas
                table = file.read(["key", "json"])
            found |= zip(table["key"].to_pylist(), table["json"].to_pylist(), strict=True)
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            said = " ".join(str(error).split())
            warn(f"shipped studies {path.name} are damaged and left out ({said})")
    return found


def live_path(key: str) -> Path:
    return cache_dir() / "studies" / f"{key}.json"


def find(spec) -> Study | None:
    """The study of a spec, shipped or live; None if it was not computed yet."""
    name = key(canonical(spec))
    if name in shipped():
        try:
            return parse(shipped()[name], "shipped")
        except ValueError as error:
            warn(f"the shipped study {name} is damaged and left out: {error}")
    return read_live(live_path(name))


def read_live(path: Path) -> Study | None:
    """A live study, or None where there is none; a damaged file is set aside."""
    try:
        study = parse(path.read_text(), "live")
        if study.key != path.stem:
            raise ValueError(f"it is the study {study.key}")
        return study
    except OSError:
        return None
    except ValueError as error:
        aside = path.with_suffix(".json.damaged")
        with suppress(OSError):
            path.replace(aside)
        warn(f"a damaged study was set aside as {aside}: {error}")
        return None


# Asking -----------------------------------------------------------------------------------------


def collect(specs: Iterable, compute: Callable[[list], Iterator], fresh: bool = False) -> Iterator:
    """The studies of a set of specs: found ones first, then the others as they are computed.

    Arguments:
        specs: frozen dataclasses whose fields say all that the values depend on.
        compute: called once with the list of specs that are missing; yields (spec, values).
        fresh: compute also what there is.
    Yields: (spec, Study).
    Raises: whatever compute raises; what it yielded before is kept.
    """
    missing = []
    for spec in dict.fromkeys(specs):
        study = None if fresh else find(spec)
        if study:
            yield spec, study
        else:
            missing.append(spec)
    if not missing:
        return
    import torch

    from cplab import devices

    device = devices.machine(devices.pick(getattr(missing[0], "device", "auto")))
    for spec, values in compute(missing):
        how = (device, torch.get_num_threads(), str(torch.__version__), commit())
        study = Study(canonical(spec), values, *how)
        keep(study)
        yield spec, study


def at_hand(
    specs: Iterable, ask: Callable[[list], Iterable], seconds: float, patience: float = 240
) -> dict:
    """The studies of a set of specs, without a long wait: what is missing is computed only if all
    of it takes less than `patience` seconds; else a line says what is left out.

    Arguments: ask, gives (spec, Study) for specs (such as pruning.retrainings); seconds, about
        what one of them takes.
    Returns: those that there are, by spec.
    """
    specs = list(dict.fromkeys(specs))
    found = {spec: study for spec in specs if (study := find(spec))}
    missing = [spec for spec in specs if spec not in found]
    if missing and seconds * len(missing) < patience:
        found |= ask(missing)
    elif missing:
        print(
            f"Not shown: {len(missing)} of {len(specs)} studies, which nobody has computed yet "
            f"(about {seconds * len(missing) / 60:.0f} minutes)."
        )
    return found


def keep(study: Study) -> None:
    """Write a live study (see records.write_live)."""
    records.write_live(live_path(study.key), json.loads(written(study)), "study")


def ship(studies: Iterable[Study], name: str) -> Path:
    """Add studies to a shipped Parquet file, cplab/shipped/studies/NAME.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = records.SHIPPED / "studies" / f"{name}.parquet"
    rows = {r["key"]: r["json"] for r in pq.read_table(path).to_pylist()} if path.exists() else {}
    rows |= {study.key: written(study) for study in studies}
    if not rows:
        raise CplabError(f"there is nothing to ship as {name!r}: compute some studies first")
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"key": sorted(rows), "json": [rows[k] for k in sorted(rows)]})
    pq.write_table(table, path, compression="zstd")
    shipped.cache_clear()
    return path


def verify() -> tuple[dict[str, int], list[str]]:
    """Read every shipped and live study again, and change nothing.

    Returns: how many are good, by source, and a line for each that is not.
    """
    good, bad = {"shipped": 0, "live": 0}, []
    texts = [("shipped", name, text) for name, text in shipped().items()]
    for path in sorted(live_path("").parent.glob("*.json")):
        texts.append(("live", path.stem, path.read_text(errors="replace")))
    for source, name, text in texts:
        try:
            if parse(text, source).key != name:
                raise ValueError("its name does not fit")
            good[source] += 1
        except ValueError as error:
            bad.append(f"{source} study {name} is damaged: {error}")
    return good, bad
