"""nearfar: recommendation from implicit feedback with variational autoencoders.

What is named here is the public interface; it is imported when first used, so that
`import nearfar` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nearfar._version import __version__ as __version__

if TYPE_CHECKING:
    from nearfar.algorithms.cdae import CDAE as CDAE
    from nearfar.algorithms.ease import EASE as EASE
    from nearfar.algorithms.edlae import EDLAE as EDLAE
    from nearfar.algorithms.grals import GRALS as GRALS
    from nearfar.algorithms.hvamp import HVamp as HVamp
    from nearfar.algorithms.lambdanet import LambdaNet as LambdaNet
    from nearfar.algorithms.mf import MF as MF
    from nearfar.algorithms.multdae import MultDAE as MultDAE
    from nearfar.algorithms.multvae import MultVAE as MultVAE
    from nearfar.algorithms.pia import PIA as PIA
    from nearfar.algorithms.plrec import PLRec as PLRec
    from nearfar.algorithms.popularity import Popularity as Popularity
    from nearfar.algorithms.ract import RaCT as RaCT
    from nearfar.algorithms.recvae import RecVAE as RecVAE
    from nearfar.algorithms.warp import WARP as WARP
    from nearfar.algorithms.wmf import WMF as WMF
    from nearfar.bundle.bundle import Bundle as Bundle
    from nearfar.bundle.folder import load_bundle as load_bundle
    from nearfar.bundle.folder import save_bundle as save_bundle
    from nearfar.bundle.histories import match_items as match_items
    from nearfar.bundle.histories import read_histories as read_histories
    from nearfar.bundle.recommend import recommend as recommend
    from nearfar.bundle.recommend import recommend_titles as recommend_titles
    from nearfar.bundle.recommend import recommend_to_file as recommend_to_file
    from nearfar.core.errors import NearfarError as NearfarError
    from nearfar.core.ranking import Ranking as Ranking
    from nearfar.core.vocabulary import Vocabulary as Vocabulary
    from nearfar.data.fetch import fetch as fetch
    from nearfar.data.filters import Filters as Filters
    from nearfar.data.inspect import inspect_log as inspect_log
    from nearfar.data.interactions import FoldIn as FoldIn
    from nearfar.data.interactions import Interactions as Interactions
    from nearfar.data.interactions import Split as Split
    from nearfar.data.log import read_log as read_log
    from nearfar.data.log import read_parts as read_parts
    from nearfar.data.shapes import Synthetic as Synthetic
    from nearfar.data.splits.by_time import split_by_time as split_by_time
    from nearfar.data.splits.folder import load_split as load_split
    from nearfar.data.splits.folder import save_split as save_split
    from nearfar.data.splits.given import split_given as split_given
    from nearfar.data.splits.hold_out import hold_out_users as hold_out_users
    from nearfar.data.splits.strong import split_strong as split_strong
    from nearfar.data.synthetic import synthetic_interactions as synthetic_interactions
    from nearfar.evaluation.evaluate import evaluate as evaluate
    from nearfar.evaluation.paired import compare as compare
    from nearfar.experiments.autopilot.autopilot import AutopilotOptions as AutopilotOptions
    from nearfar.experiments.autopilot.autopilot import autopilot as autopilot
    from nearfar.metrics.metric import parse_metric as parse_metric
    from nearfar.train.run import Run as Run

_HOMES = {
    "nearfar.algorithms.cdae": ("CDAE",),
    "nearfar.algorithms.ease": ("EASE",),
    "nearfar.algorithms.edlae": ("EDLAE",),
    "nearfar.algorithms.grals": ("GRALS",),
    "nearfar.algorithms.hvamp": ("HVamp",),
    "nearfar.algorithms.lambdanet": ("LambdaNet",),
    "nearfar.algorithms.mf": ("MF",),
    "nearfar.algorithms.multdae": ("MultDAE",),
    "nearfar.algorithms.multvae": ("MultVAE",),
    "nearfar.algorithms.pia": ("PIA",),
    "nearfar.algorithms.plrec": ("PLRec",),
    "nearfar.algorithms.popularity": ("Popularity",),
    "nearfar.algorithms.ract": ("RaCT",),
    "nearfar.algorithms.recvae": ("RecVAE",),
    "nearfar.algorithms.warp": ("WARP",),
    "nearfar.algorithms.wmf": ("WMF",),
    "nearfar.bundle.bundle": ("Bundle",),
    "nearfar.bundle.folder": (
        "load_bundle",
        "save_bundle",
    ),
    "nearfar.bundle.histories": (
        "match_items",
        "read_histories",
    ),
    "nearfar.bundle.recommend": (
        "recommend",
        "recommend_titles",
        "recommend_to_file",
    ),
    "nearfar.core.errors": ("NearfarError",),
    "nearfar.core.ranking": ("Ranking",),
    "nearfar.core.vocabulary": ("Vocabulary",),
    "nearfar.data.fetch": ("fetch",),
    "nearfar.data.filters": ("Filters",),
    "nearfar.data.inspect": ("inspect_log",),
    "nearfar.data.interactions": (
        "FoldIn",
        "Interactions",
        "Split",
    ),
    "nearfar.data.log": (
        "read_log",
        "read_parts",
    ),
    "nearfar.data.shapes": ("Synthetic",),
    "nearfar.data.splits.by_time": ("split_by_time",),
    "nearfar.data.splits.folder": (
        "load_split",
        "save_split",
    ),
    "nearfar.data.splits.given": ("split_given",),
    "nearfar.data.splits.hold_out": ("hold_out_users",),
    "nearfar.data.splits.strong": ("split_strong",),
    "nearfar.data.synthetic": ("synthetic_interactions",),
    "nearfar.evaluation.evaluate": ("evaluate",),
    "nearfar.evaluation.paired": ("compare",),
    "nearfar.experiments.autopilot.autopilot": (
        "AutopilotOptions",
        "autopilot",
    ),
    "nearfar.metrics.metric": ("parse_metric",),
    "nearfar.train.run": ("Run",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'nearfar' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
