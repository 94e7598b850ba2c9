"""The data preparation of the published Mult-VAE experiments in pandas: ratings.csv to CSV files.

It follows the published procedure. It keeps ratings of at least 4, and users with at least five of
them. It permutes the sorted users with NumPy's legacy seed 98765; the last n are test users, the n
before them validation users. Items are those of the training users, in order of first appearance.
Held-out users keep only these items. Each one with five or more holds out a fifth of them, rounded
down, in the order of the users, with the seed set again. Ids are numbered by dictionaries, row by
row.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SEED, SHARE, LEAST = 98765, 0.2, 5
PARTS = ("train", "validation_tr", "validation_te", "test_tr", "test_te")


def prepare(ratings: Path, folder: Path, n_held_out: int) -> int:
    """Write PARTS as CSV (columns uid, sid) and the ids in order; return the number of ratings."""
    events = pd.read_csv(ratings)
    events = events.loc[events["rating"] >= 4]
    counts = events.groupby("userId").size()
    events = events.loc[events["userId"].isin(counts.index[counts >= LEAST])]
    users = counts.index[counts >= LEAST].to_numpy()
    users = users[np.random.RandomState(SEED).permutation(len(users))]
    train = events.loc[events["userId"].isin(users[: -2 * n_held_out])]
    items = pd.unique(train["movieId"])
    parts = {"train": train}
    groups = {"validation": users[-2 * n_held_out : -n_held_out], "test": users[-n_held_out:]}
    for name, members in groups.items():
        held_out = events.loc[events["userId"].isin(members) & events["movieId"].isin(items)]
        parts[f"{name}_tr"], parts[f"{name}_te"] = fold_in_and_targets(held_out)
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
    """Return the fold-in items and the held-out items of each held-out user."""
    rng = np.random.RandomState(SEED)
    fold_in, targets = [], []
    for _, history in events.groupby("userId"):
        is_target = np.zeros(len(history), dtype=bool)
        if len(history) >= LEAST:
            n_targets = int(SHARE * len(history))
            is_target[rng.choice(len(history), size=n_targets, replace=False)] = True
        fold_in.append(history[~is_target])
        targets.append(history[is_target])
    return pd.concat(fold_in), pd.concat(targets)
