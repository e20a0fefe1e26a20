"""What one call of the campaign leaves in a directory for the next: records, unfinished work.

Finished records and studies go into Parquet files (key, JSON with its checksum), checkpoints into
an archive that is cut into parts. No file is larger than LIMIT, all together no larger than ROOM.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from cplab import data, kernels, records, studies, train
from cplab.checkpoints import ON_THE_WAY, OPTIMIZER
from cplab.experiment import PROTOCOL, CplabError, Run, cache_dir

LIMIT = 16 * 2**20  # bytes of a file
ROOM = 60 * 2**20  # bytes of all files
PARTS = re.compile(r"unfinished-([0-9a-f]{12})-(\d+)of(\d+)\.part")


def find(one) -> records.Record | studies.Study | None:
    return records.find(one) if isinstance(one, Run) else studies.find(one)


def held(some: Iterable, where: torch.device) -> dict:
    """Of each run and study of kernels: the last checkpoint that is here, and how many epochs (of a
    study also: times that kernels were taken out) led to it; (None, 0) where there is none."""
    there = {path.stem for path in (cache_dir() / "checkpoints").glob("*.safetensors")}
    return {one: deepest(one, where, there) for one in dict.fromkeys(some)}


def deepest(one, where: torch.device, there: set[str]) -> tuple[Path | None, int]:
    """What `held` says of one, where `there` are the names of all checkpoints."""
    run = one if isinstance(one, Run) else Run(profile=kernels.SIZES[one.size].profile)
    if there and data.at_hand(run.dataset):
        names = (train if run is one else kernels).checkpoint_names(one, where)
        for step in range(len(names) - 1, 0, -1):
            for stem in (names[step].stem, names[step].stem + ON_THE_WAY):
                if stem in there:
                    return names[step].with_stem(stem), step
    return None, 0


@contextmanager
def directory(out: Path) -> Iterator[None]:
    """Make it, and keep other processes away from it."""
    from filelock import FileLock, Timeout

    lock = FileLock(out / "lock", blocking=False)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise CplabError(
            f"another process works with {out}: give each of several a directory of its own"
        ) from error
    except OSError as error:
        raise CplabError(f"{out} is no directory to write to ({error.strerror})") from error
    try:
        yield
    finally:
        (out / "lock").unlink(missing_ok=True)
        lock.release()


def texts(path: Path) -> list[str]:
    """The JSON of each record and study in a file. Raises ValueError if it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".json":
            return [path.read_text()]
        with pq.ParquetFile(path) as file:
            return [row.get("json") or json.dumps(row) for row in file.read().to_pylist()]
    except (pa.ArrowException, OSError, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"it cannot be read ({data.reason(error)})") from error


def parse(text: str) -> records.Record | studies.Study:
    """Raises ValueError, records.Outdated."""
    plain = json.loads(text)
    if not isinstance(plain, dict) or plain.get("protocol", PROTOCOL) == PROTOCOL:
        return studies.parse(text, "live") if "spec" in plain else records.parse(plain, "live")
    raise records.Outdated(f"it is of protocol {plain['protocol']}, this is {PROTOCOL}")


def known(one: records.Record | studies.Study) -> bool:
    """Whether there is a record or study of this key, which then stays."""
    if isinstance(one, records.Record):
        return records.find(one.run) is not None
    return one.key in studies.shipped() or studies.read_live(studies.live_path(one.key)) is not None


def keep(one: records.Record | studies.Study) -> None:
    (records if isinstance(one, records.Record) else studies).keep(one)


def merge(paths: list[Path]) -> tuple[int, int, list[str]]:
    """Take records and studies in from files, or all files in directories.

    Returns: how many were taken in, how many were there already, and a line for each that is
        damaged or of another protocol version and was not.
    Raises: CplabError for a path that is not there or holds no file of records.
    """
    new, old, refused = 0, 0, []
    for path in paths:
        inside = [p for p in sorted(path.glob("*")) if p.suffix in (".json", ".parquet")]
        files = inside if path.is_dir() else [path]
        if not files or not path.exists():
            raise CplabError(f"there are no records in {path}: name a .parquet or .json file")
        for file in files:
            try:
                found = texts(file)
            except ValueError as error:
                refused.append(f"{file.name}: {error}")
                continue
            for number, text in enumerate(found):
                try:
                    one = parse(text)
                except ValueError as error:
                    refused.append(f"{file.name}, row {number}: {data.reason(error)}")
                    continue
                if known(one):
                    old += 1
                else:
                    keep(one)
                    new += 1
    return new, old, refused


def take_in(out: Path) -> dict[str, str]:
    """Records, studies and checkpoints from where an earlier call left them.

    Returns: the JSON of the records and studies, by key. Raises: CplabError for a damaged file.
    """
    carried = {}
    for path in sorted(out.glob("records-*.parquet")):
        try:
            for text in texts(path):
                one = parse(text)
                carried[one.key] = text
                if not known(one):
                    keep(one)
        except ValueError as error:
            raise CplabError(f"{path} is damaged ({error}): remove it or name another") from error
    archives = {m[1]: int(m[3]) for p in out.iterdir() if (m := PARTS.fullmatch(p.name))}
    sound = [one for name, count in archives.items() if (one := joined(out, name, count))]
    if archives and not sound:
        raise CplabError(
            f"the parts unfinished-*.part in {out} are damaged or not all there: bring them, or "
            "remove them to train that again"
        )
    for archive in sound:
        unpack(archive)
    return carried


def joined(out: Path, name: str, count: int) -> bytes | None:
    with suppress(OSError):
        archive = b"".join(
            (out / f"unfinished-{name}-{i}of{count}.part").read_bytes() for i in range(count)
        )
        return archive if hashlib.sha256(archive).hexdigest().startswith(name) else None


def leave(out: Path, carried: dict[str, str], some: list, where, say) -> None:
    """Write what the next call goes on from: first new files, then old ones are removed."""
    done = {one: found for one in some if (found := find(one))}
    for found in done.values():
        if found.source == "live" and isinstance(found, records.Record):
            plain = found.plain()
            carried[found.key] = json.dumps({**plain, "checksum": records.checksum(plain)})
        elif found.source == "live":
            carried[found.key] = studies.written(found)
    tables = parquet(sorted(carried.items()))
    files = {f"records-{i}.parquet": content for i, content in enumerate(tables)}
    missing = [one for one in some if one not in done]
    archive = pack(missing, where, ROOM - sum(map(len, tables)), say)
    name, count = hashlib.sha256(archive).hexdigest()[:12], -(-len(archive) // LIMIT)
    for i in range(count):
        part = archive[i * LIMIT : (i + 1) * LIMIT]
        files[f"unfinished-{name}-{i}of{count}.part"] = part
    try:
        for file, content in files.items():
            partial_file = out / f"{file}.partial"
            partial_file.write_bytes(content)
            partial_file.replace(out / file)
    except OSError as error:
        raise CplabError(
            f"{out} cannot be written ({error.strerror}): what was trained is kept in the cache"
        ) from error
    for path in [*out.glob("records-*"), *out.glob("unfinished-*")]:
        if path.name not in files:
            path.unlink()
    say(f"{len(carried)} records and {len(archive) / 2**20:.1f} MiB of unfinished work in {out}")


def parquet(rows: list[tuple[str, str]]) -> list[bytes]:
    """Keys and JSON as Parquet files, each below LIMIT."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not rows:
        return []
    sink = pa.BufferOutputStream()
    keys, plain = zip(*rows, strict=True)
    pq.write_table(pa.table({"key": keys, "json": plain}), sink, compression="zstd")
    content, half = sink.getvalue().to_pybytes(), len(rows) // 2
    if len(content) <= LIMIT or not half:
        return [content]
    return parquet(rows[:half]) + parquet(rows[half:])


def pack(some: list, where: torch.device, room: int, say) -> bytes:
    """The deepest checkpoint of each run and study in one archive of at most so many bytes.

    The deepest of all comes first. Where one does not fit, what its optimiser keeps is rounded to
    bfloat16; where that does not fit, its epochs have to be trained again. Both are said.
    """
    from safetensors.torch import save

    begun = {path: (steps, one) for one, (path, steps) in held(some, where).items() if path}
    packed, sizes = {}, {}
    for path, (steps, one) in sorted(begun.items(), key=lambda item: -item[1][0]):
        said = one.call() if isinstance(one, Run) else one
        about = f"{steps} epochs of {said}"
        for rounded in (False, True):
            content, size = squeeze(path, rounded)
            if len(content) <= room:
                room -= len(content)
                packed[path.name] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
                sizes[path.name] = str(size)
                if rounded:
                    say(f"rounded to fit in, the optimiser's state after {about}")
                break
        else:
            say(f"left out, to be trained again: {about} ({path.stat().st_size / 2**20:.0f} MiB)")
    return save(packed, sizes) if packed else b""


def squeeze(path: Path, rounded: bool) -> tuple[bytes, int]:
    """A checkpoint, compressed, and its size. The bytes of numbers stand by their place in the
    number, since signs and exponents are alike and the last digits are not."""
    import numpy as np
    import pyarrow as pa
    from safetensors import safe_open
    from safetensors.torch import save

    with safe_open(path, "pt") as file:
        said = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, value in state.items():
        if rounded and name.startswith(OPTIMIZER) and value.ndim:
            state[name] = value.bfloat16()
    raw = save(state, said)
    places = np.frombuffer(raw + bytes(-len(raw) % 4), np.uint8).reshape(-1, 4).T
    return pa.compress(places.tobytes(), codec="zstd", asbytes=True), len(raw)


def unpack(archive: bytes) -> None:
    """Put the checkpoints of an archive where training looks for them."""
    import numpy as np
    import pyarrow as pa
    from safetensors import safe_open
    from safetensors.torch import load, save_file

    folder = cache_dir() / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    carried = folder / "carried.partial"
    carried.write_bytes(archive)
    with safe_open(carried, "np") as file:
        for name, size in file.metadata().items():
            full = int(size) + -int(size) % 4
            places = pa.decompress(file.get_tensor(name).tobytes(), full, "zstd", asbytes=True)
            raw = np.frombuffer(places, np.uint8).reshape(4, -1).T.tobytes()[: int(size)]
            if not (folder / name).exists():
                partial_file = folder / f"{name}.partial"
                partial_file.write_bytes(raw)
                with safe_open(partial_file, "pt") as checkpoint:
                    said = checkpoint.metadata()
                state = load(raw)
                if any(value.dtype == torch.bfloat16 for value in state.values()):
                    save_file({k: v.float() for k, v in state.items()}, partial_file, said)
                partial_file.replace(folder / name)
    carried.unlink()
