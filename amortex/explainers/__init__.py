"""Exact explainers and baselines."""

from amortex.explainers.base import Explainer as Explainer
from amortex.explainers.base import Explanation as Explanation
from amortex.explainers.base import picture as picture
from amortex.explainers.baselines import Baseline as Baseline
from amortex.explainers.baselines import Ordering as Ordering
from amortex.explainers.methods import METHODS as METHODS
from amortex.explainers.methods import build_explainer as build_explainer
from amortex.explainers.minimal_image import MinimalImage as MinimalImage
from amortex.explainers.minimal_image import StaticMinimalImage as StaticMinimalImage
from amortex.explainers.rde import PRESETS as PRESETS
from amortex.explainers.rde import RDE as RDE
from amortex.explainers.rde import Preset as Preset
from amortex.explainers.wam import WAM as WAM
