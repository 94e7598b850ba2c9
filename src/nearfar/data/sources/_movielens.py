"""What the MovieLens sources share."""

from nearfar.data.sources.source import Download

LICENCE = (
    "GroupLens licence: research use with acknowledgement, no redistribution without permission, "
    "no commercial use without permission"
)


def archive(name: str, md5: str, max_bytes: int = 1 << 30) -> tuple[Download, ...]:
    """The official archive of a MovieLens data set."""
    url = f"https://files.grouplens.org/datasets/movielens/{name}.zip"
    return (Download(url, f"{name}.zip", md5, max_bytes),)
