"""Small files in the raw layout of every source, and the log that each must give."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from pathlib import Path

# user, item, rating, timestamp; ids unsorted on purpose
ROWS = [
    (30, 100, 5, 978300760),
    (30, 7, 3, 978300761),
    (4, 100, 4, 978300762),
    (4, 55, 1, 978300763),
    (200, 7, 5, 978300764),
]
TITLES = {7: "Sisters, The (1980)", 55: "Köln (1999)", 100: "Walk (2000)"}


def _double_colon() -> dict[str, str]:
    return {
        "ratings.dat": "".join("::".join(map(str, r)) + "\n" for r in ROWS),
        "movies.dat": "".join(f"{i}::{t}::Drama|War\n" for i, t in TITLES.items()),
    }


def _flags() -> str:
    return "|".join("1" if n in (8, 17) else "0" for n in range(19))


def _netflix(rows: list[tuple[int, int, int, int]]) -> list[tuple[int, str]]:
    blocks = []
    for movie in sorted({r[1] for r in rows}):
        lines = [f"{u},{r},2001-01-0{n + 1}\n" for n, (u, i, r, _) in enumerate(rows) if i == movie]
        blocks.append((movie, f"{movie}:\n" + "".join(lines)))
    return blocks


LAYOUTS: dict[str, dict[str, str]] = {
    "ml-100k": {
        "u.data": "".join("\t".join(map(str, r)) + "\n" for r in ROWS),
        "u.item": "".join(f"{i}|{t}|01-Jan-1995||url|{_flags()}\n" for i, t in TITLES.items()),
    },
    "ml-1m": _double_colon() | {"users.dat": "30::M::1::1::00000\n"},
    "ml-10m": _double_colon() | {"tags.dat": "30::100::dull::978300760\n"},
    "ml-20m": {
        "ratings.csv": "userId,movieId,rating,timestamp\n"
        + "".join(",".join(map(str, r)) + "\n" for r in ROWS),
        "movies.csv": "movieId,title,genres\n"
        + "".join(f'{i},"{t}",Drama|War\n' for i, t in TITLES.items()),
        "tags.csv": "userId,movieId,tag,timestamp\n",
    },
    "netflix": {
        "combined_data_1.txt": "".join(text for _, text in _netflix(ROWS)[:2]),
        "combined_data_2.txt": "".join(text for _, text in _netflix(ROWS)[2:]),
        "movie_titles.csv": "7,1980,Sisters, The\n55,1999,Köln\n100,2000,Walk\n",
    },
    "msd": {"train_triplets.txt": "".join(f"u{u}\tS{i}\t{r}\n" for u, i, r, _ in ROWS)},
    "gowalla": {"train.txt": "30 100 7\n4 100\n9\n", "test.txt": "4 55\n200 7\n"},
    "recbole": {
        "toy.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        + "".join("\t".join(map(str, r)) + "\n" for r in ROWS),
        "toy.item": "item_id:token\tmovie_title:token_seq\tclass:token_seq\n"
        + "".join(f"{i}\t{t}\tDrama War\n" for i, t in TITLES.items()),
    },
    "table": {
        "events.csv": "Customer ID,Product_ID,Stars,Event Time,colour\n"
        + "".join(f'{u},{i},{r},{t},"red, ""or"" \nblue"\n' for u, i, r, t in ROWS),
    },
}
LATIN = {"ml-100k", "ml-1m", "netflix"}


def encoded(source: str, name: str) -> bytes:
    text = LAYOUTS[source][name]
    details = name in ("u.item", "movies.dat", "movie_titles.csv")
    return text.encode("latin-1" if source in LATIN and details else "utf-8")


def folder(source: str, place: Path, *, gz: bool = False) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for name in LAYOUTS[source]:
        content = encoded(source, name)
        if gz:
            (place / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (place / name).write_bytes(content)
    return place


def zipped(source: str, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in LAYOUTS[source]:
            archive.writestr(f"inner/{name}", encoded(source, name))
    return path


def tarred(source: str, path: Path, place: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        archive.add(folder(source, place), arcname="inner")
    return path
