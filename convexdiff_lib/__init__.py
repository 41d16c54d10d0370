"""Exact score matching with two-layer networks, by convex optimization, with certificates."""

from .certificates import Certificate, NotCertifiedError
from .networks import TwoLayerNetwork
from .objectives import denoising_loss, score_matching_loss
from .univariate import UnivariateScore, denoising_score_matching, score_matching, score_matching_path

__all__ = [
    "Certificate",
    "NotCertifiedError",
    "TwoLayerNetwork",
    "UnivariateScore",
    "denoising_loss",
    "denoising_score_matching",
    "score_matching",
    "score_matching_loss",
    "score_matching_path",
]

__version__ = "0.1.0"
