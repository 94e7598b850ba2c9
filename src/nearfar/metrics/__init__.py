"""One small module per metric: `nf.metrics.NDCG(100)`."""

from __future__ import annotations

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
