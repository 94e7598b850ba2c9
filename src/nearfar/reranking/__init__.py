"""Re-rankers, which choose a list from the best candidates, such as `nf.reranking.MMR(0.3)`."""

from __future__ import annotations

from nearfar.reranking.calibrated import Calibrated as Calibrated
from nearfar.reranking.dpp import DPP as DPP
from nearfar.reranking.mmr import MMR as MMR
from nearfar.reranking.reranker import Reranker as Reranker
from nearfar.reranking.reranking import Reranking as Reranking
from nearfar.reranking.rules import Rules as Rules
from nearfar.reranking.rules import read_rules as read_rules
