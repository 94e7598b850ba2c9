"""nearfar: recommendation from implicit feedback with variational autoencoders.

What is named here is the public interface; it is imported when first used, so that
`import nearfar` costs nothing. Parts that share names are in modules of their own: `nf.priors`,
`nf.encoders`, `nf.corruptions`, `nf.likelihoods`, `nf.initialisers`, `nf.schedules`, `nf.metrics`,
`nf.reranking`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nearfar._version import __version__ as __version__

if TYPE_CHECKING:
    from nearfar import corruptions as corruptions
    from nearfar import encoders as encoders
    from nearfar import initialisers as initialisers
    from nearfar import likelihoods as likelihoods
    from nearfar import metrics as metrics
    from nearfar import priors as priors
    from nearfar import reranking as reranking
    from nearfar import schedules as schedules
    from nearfar.algorithms.algorithm import Algorithm as Algorithm
    from nearfar.algorithms.blend import Blend as Blend
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
    from nearfar.bundle.exports.export import export_bundle as export_bundle
    from nearfar.bundle.folder import load_bundle as load_bundle
    from nearfar.bundle.folder import save_bundle as save_bundle
    from nearfar.bundle.history_file import read_histories as read_histories
    from nearfar.bundle.index_building import build_index as build_index
    from nearfar.bundle.index_folder import load_index as load_index
    from nearfar.bundle.index_folder import save_index as save_index
    from nearfar.bundle.item_index import ItemIndex as ItemIndex
    from nearfar.bundle.match_items import match_items as match_items
    from nearfar.bundle.recommend import recommend as recommend
    from nearfar.bundle.recommend import recommend_titles as recommend_titles
    from nearfar.bundle.recommend import recommend_to_file as recommend_to_file
    from nearfar.bundle.similar import similar_items as similar_items
    from nearfar.bundle.similar import similar_to_file as similar_to_file
    from nearfar.core.errors import NearfarError as NearfarError
    from nearfar.core.ranking import Ranking as Ranking
    from nearfar.core.vocabulary import Vocabulary as Vocabulary
    from nearfar.data.events import Log as Log
    from nearfar.data.fetch import fetch as fetch
    from nearfar.data.filters import Filters as Filters
    from nearfar.data.inspect import inspect_log as inspect_log
    from nearfar.data.interactions import FoldIn as FoldIn
    from nearfar.data.interactions import Interactions as Interactions
    from nearfar.data.interactions import Split as Split
    from nearfar.data.item_features import ItemFeatures as ItemFeatures
    from nearfar.data.item_features import read_item_features as read_item_features
    from nearfar.data.log import read_log as read_log
    from nearfar.data.log import read_parts as read_parts
    from nearfar.data.shapes import Synthetic as Synthetic
    from nearfar.data.sources.source import Source as Source
    from nearfar.data.splits.by_time import split_by_time as split_by_time
    from nearfar.data.splits.by_time import split_rolling as split_rolling
    from nearfar.data.splits.folder import load_split as load_split
    from nearfar.data.splits.folder import save_split as save_split
    from nearfar.data.splits.given import split_given as split_given
    from nearfar.data.splits.hold_out import hold_out_users as hold_out_users
    from nearfar.data.splits.k_fold import split_k_fold as split_k_fold
    from nearfar.data.splits.strong import split_strong as split_strong
    from nearfar.data.synthetic import synthetic_interactions as synthetic_interactions
    from nearfar.evaluation.comparison import Comparison as Comparison
    from nearfar.evaluation.comparison import compare as compare
    from nearfar.evaluation.disparity import Disparity as Disparity
    from nearfar.evaluation.disparity import disparities as disparities
    from nearfar.evaluation.evaluate import evaluate as evaluate
    from nearfar.evaluation.evaluation import Evaluation as Evaluation
    from nearfar.evaluation.paired import Paired as Paired
    from nearfar.evaluation.pooled import pooled as pooled
    from nearfar.experiments.autopilot.autopilot import AutopilotOptions as AutopilotOptions
    from nearfar.experiments.autopilot.autopilot import autopilot as autopilot
    from nearfar.experiments.cross_validation import CrossValidation as CrossValidation
    from nearfar.experiments.cross_validation import cross_validate as cross_validate
    from nearfar.experiments.diagnosis import diagnose as diagnose
    from nearfar.experiments.tuning.tune import TuningSearch as TuningSearch
    from nearfar.experiments.tuning.tune import tune as tune
    from nearfar.maps.figure2 import figure2 as figure2
    from nearfar.metrics.arp import ARP as ARP
    from nearfar.metrics.auc import AUC as AUC
    from nearfar.metrics.coverage import Coverage as Coverage
    from nearfar.metrics.gini import Gini as Gini
    from nearfar.metrics.hit_rate import HitRate as HitRate
    from nearfar.metrics.ild import ILD as ILD
    from nearfar.metrics.judged_ranking import JudgedRanking as JudgedRanking
    from nearfar.metrics.map import MAP as MAP
    from nearfar.metrics.metric import CatalogueMetric as CatalogueMetric
    from nearfar.metrics.metric import Metric as Metric
    from nearfar.metrics.metric import UserMetric as UserMetric
    from nearfar.metrics.metric import parse_metric as parse_metric
    from nearfar.metrics.miscalibration import Miscalibration as Miscalibration
    from nearfar.metrics.mrr import MRR as MRR
    from nearfar.metrics.ndcg import NDCG as NDCG
    from nearfar.metrics.novelty import Novelty as Novelty
    from nearfar.metrics.precision import Precision as Precision
    from nearfar.metrics.recall import Recall as Recall
    from nearfar.metrics.sampled import SampledHitRate as SampledHitRate
    from nearfar.metrics.sampled import SampledNDCG as SampledNDCG
    from nearfar.metrics.serendipity import Serendipity as Serendipity
    from nearfar.metrics.tail_share import TailShare as TailShare
    from nearfar.models.autoencoder import Autoencoder as Autoencoder
    from nearfar.models.ensemble import Ensemble as Ensemble
    from nearfar.models.factors import Factors as Factors
    from nearfar.models.item_item import ItemItem as ItemItem
    from nearfar.models.model import LatentModel as LatentModel
    from nearfar.models.model import Model as Model
    from nearfar.report.training_curves import plot_training as plot_training
    from nearfar.train.callback import Callback as Callback
    from nearfar.train.history import EpochRecord as EpochRecord
    from nearfar.train.history import History as History
    from nearfar.train.history import StepReport as StepReport
    from nearfar.train.progress import Progress as Progress
    from nearfar.train.run import Run as Run
    from nearfar.train.trackers.mlflow import MLflow as MLflow
    from nearfar.train.trackers.tensorboard import TensorBoard as TensorBoard
    from nearfar.train.trackers.tracker import Tracker as Tracker
    from nearfar.train.trackers.wandb import WandB as WandB
    from nearfar.vae.corruption.corruption import Corruption as Corruption
    from nearfar.vae.encoders.encoder import Encoder as Encoder
    from nearfar.vae.encoders.encoder import EncoderNetwork as EncoderNetwork
    from nearfar.vae.likelihoods.likelihood import Likelihood as Likelihood
    from nearfar.vae.priors.prior import Prior as Prior
    from nearfar.vae.priors.prior import PriorNetwork as PriorNetwork
    from nearfar.vae.weights.weight import Weight as Weight

_NAMESPACES = (
    "corruptions",
    "encoders",
    "initialisers",
    "likelihoods",
    "metrics",
    "priors",
    "reranking",
    "schedules",
)
_HOMES = {
    "nearfar.algorithms.algorithm": ("Algorithm",),
    "nearfar.algorithms.blend": ("Blend",),
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
    "nearfar.bundle.exports.export": ("export_bundle",),
    "nearfar.bundle.folder": ("load_bundle", "save_bundle"),
    "nearfar.bundle.history_file": ("read_histories",),
    "nearfar.bundle.index_building": ("build_index",),
    "nearfar.bundle.index_folder": ("load_index", "save_index"),
    "nearfar.bundle.item_index": ("ItemIndex",),
    "nearfar.bundle.match_items": ("match_items",),
    "nearfar.bundle.recommend": ("recommend", "recommend_titles", "recommend_to_file"),
    "nearfar.bundle.similar": ("similar_items", "similar_to_file"),
    "nearfar.core.errors": ("NearfarError",),
    "nearfar.core.ranking": ("Ranking",),
    "nearfar.core.vocabulary": ("Vocabulary",),
    "nearfar.data.events": ("Log",),
    "nearfar.data.fetch": ("fetch",),
    "nearfar.data.filters": ("Filters",),
    "nearfar.data.inspect": ("inspect_log",),
    "nearfar.data.interactions": ("FoldIn", "Interactions", "Split"),
    "nearfar.data.item_features": ("ItemFeatures", "read_item_features"),
    "nearfar.data.log": ("read_log", "read_parts"),
    "nearfar.data.shapes": ("Synthetic",),
    "nearfar.data.sources.source": ("Source",),
    "nearfar.data.splits.by_time": ("split_by_time", "split_rolling"),
    "nearfar.data.splits.folder": ("load_split", "save_split"),
    "nearfar.data.splits.given": ("split_given",),
    "nearfar.data.splits.hold_out": ("hold_out_users",),
    "nearfar.data.splits.k_fold": ("split_k_fold",),
    "nearfar.data.splits.strong": ("split_strong",),
    "nearfar.data.synthetic": ("synthetic_interactions",),
    "nearfar.evaluation.comparison": ("Comparison", "compare"),
    "nearfar.evaluation.disparity": ("Disparity", "disparities"),
    "nearfar.evaluation.evaluate": ("evaluate",),
    "nearfar.evaluation.evaluation": ("Evaluation",),
    "nearfar.evaluation.paired": ("Paired",),
    "nearfar.evaluation.pooled": ("pooled",),
    "nearfar.experiments.autopilot.autopilot": ("AutopilotOptions", "autopilot"),
    "nearfar.experiments.cross_validation": ("CrossValidation", "cross_validate"),
    "nearfar.experiments.diagnosis": ("diagnose",),
    "nearfar.experiments.tuning.tune": ("TuningSearch", "tune"),
    "nearfar.maps.figure2": ("figure2",),
    "nearfar.metrics.arp": ("ARP",),
    "nearfar.metrics.auc": ("AUC",),
    "nearfar.metrics.ild": ("ILD",),
    "nearfar.metrics.miscalibration": ("Miscalibration",),
    "nearfar.metrics.sampled": ("SampledHitRate", "SampledNDCG"),
    "nearfar.metrics.serendipity": ("Serendipity",),
    "nearfar.metrics.tail_share": ("TailShare",),
    "nearfar.metrics.coverage": ("Coverage",),
    "nearfar.metrics.gini": ("Gini",),
    "nearfar.metrics.hit_rate": ("HitRate",),
    "nearfar.metrics.judged_ranking": ("JudgedRanking",),
    "nearfar.metrics.map": ("MAP",),
    "nearfar.metrics.metric": ("CatalogueMetric", "Metric", "UserMetric", "parse_metric"),
    "nearfar.metrics.mrr": ("MRR",),
    "nearfar.metrics.ndcg": ("NDCG",),
    "nearfar.metrics.novelty": ("Novelty",),
    "nearfar.metrics.precision": ("Precision",),
    "nearfar.metrics.recall": ("Recall",),
    "nearfar.models.autoencoder": ("Autoencoder",),
    "nearfar.models.ensemble": ("Ensemble",),
    "nearfar.models.factors": ("Factors",),
    "nearfar.models.item_item": ("ItemItem",),
    "nearfar.models.model": ("LatentModel", "Model"),
    "nearfar.report.training_curves": ("plot_training",),
    "nearfar.train.callback": ("Callback",),
    "nearfar.train.history": ("EpochRecord", "History", "StepReport"),
    "nearfar.train.progress": ("Progress",),
    "nearfar.train.run": ("Run",),
    "nearfar.train.trackers.mlflow": ("MLflow",),
    "nearfar.train.trackers.tensorboard": ("TensorBoard",),
    "nearfar.train.trackers.tracker": ("Tracker",),
    "nearfar.train.trackers.wandb": ("WandB",),
    "nearfar.vae.corruption.corruption": ("Corruption",),
    "nearfar.vae.encoders.encoder": ("Encoder", "EncoderNetwork"),
    "nearfar.vae.likelihoods.likelihood": ("Likelihood",),
    "nearfar.vae.priors.prior": ("Prior", "PriorNetwork"),
    "nearfar.vae.weights.weight": ("Weight",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return importlib.import_module(f"nearfar.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'nearfar' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *_NAMESPACES]
