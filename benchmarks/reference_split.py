"""The preparation of the published Mult-VAE experiments, in pandas: ratings.csv to five CSV files.

Transcribed from the procedure as published: ratings of at least 4, users with at least five;
users ascending, one permutation under NumPy's legacy seed 98765, the last n for test and the n
before them for validation; items of training users in order of first appearance; held-out users
over these items only, of whom each with five or more gives a fifth, rounded down, to be found,
user by user under a seed set anew; ids numbered through dictionaries, row by row.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SEED, SHARE, LEAST = 98765, 0.2, 5
PARTS = ("train", "validation_tr", "validation_te", "test_tr", "test_te")


def prepare(ratings: Path, folder: Path, n_held_out: int) -> int:
    """Writes PARTS as CSV (columns uid, sid) and the ids in their order; returns rows kept."""
    events = pd.read_csv(ratings)
    events = events[events["rating"] >= 4]
    counts = events.groupby("userId").size()
    events = events[events["userId"].isin(counts.index[counts >= LEAST])]
    users = counts.index[counts >= LEAST].to_numpy()
    users = users[np.random.RandomState(SEED).permutation(len(users))]
    train = events[events["userId"].isin(users[: -2 * n_held_out])]
    items = pd.unique(train["movieId"])
    parts = {"train": train}
    groups = {"validation": users[-2 * n_held_out : -n_held_out], "test": users[-n_held_out:]}
    for name, members in groups.items():
        mine = events[events["userId"].isin(members) & events["movieId"].isin(items)]
        parts[f"{name}_tr"], parts[f"{name}_te"] = fold_in_and_targets(mine)
    uid = {user: number for number, user in enumerate(users.tolist())}
    sid = {item: number for number, item in enumerate(items.tolist())}
    folder.mkdir(parents=True)
    for name, part in parts.items():
        numbered = pd.DataFrame(
            {
                "uid": [uid[user] for user in part["userId"].tolist()],
                "sid": [sid[item] for item in part["movieId"].tolist()],
            }
        )
        numbered.to_csv(folder / f"{name}.csv", index=False)
    for name, ids in (("unique_uid", users), ("unique_sid", items)):
        (folder / f"{name}.txt").write_text("".join(f"{i}\n" for i in ids.tolist()))
    return len(events)


def fold_in_and_targets(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a model sees of each held-out user, and what it has to find."""
    rng = np.random.RandomState(SEED)
    seen, targets = [], []
    for _, mine in events.groupby("userId"):
        chosen = np.zeros(len(mine), dtype=bool)
        if len(mine) >= LEAST:
            chosen[rng.choice(len(mine), size=int(SHARE * len(mine)), replace=False)] = True
        seen.append(mine[~chosen])
        targets.append(mine[chosen])
    return pd.concat(seen), pd.concat(targets)
