from . import (
    active_set,
    beam,
    candidates,
    chains,
    closed_forms,
    coarse_to_fine,
    compiling,
    deep,
    deep_certificates,
    deep_network,
    deep_score,
    estimator,
    inward_tails,
    kink_network,
    memorisation,
    mode_weights,
    network_certificates,
    path,
    piecewise_linear,
    problem,
    quadratic,
    sample,
    selection,
    sharpening,
    smooth,
    spline_certificates,
    tails,
    training,
    univariate_score,
)
from .chains import ChainNetwork
from .closed_forms import LargeWeightDecay, large_weight_decay, large_weight_decay_threshold
from .compiling import compile_loops
from .deep import deep_denoising_score_matching, deep_score_matching, smallest_deep_penalty
from .deep_certificates import certify_deep_denoising, certify_deep_score_matching
from .deep_network import DeepNetwork
from .deep_score import DeepScore
from .estimator import ScoreMatchingDensity
from .kink_network import KinkNetwork
from .memorisation import MemorisationLaw, memorisation_law
from .mode_weights import WeighedModes, weigh_modes
from .network_certificates import certify_denoising, certify_score_matching, dual_violation
from .path import Piece, SolutionPath, denoising_path, solution_path
from .piecewise_linear import PiecewiseLinearScore
from .quadratic import QuadraticScore, quadratic_denoising, quadratic_score_matching
from .sample import smallest_weight_decay
from .selection import (
    DensityError,
    Selection,
    choose_weight_decay,
    density_error,
    pointwise_loss,
    score_error,
)
from .smooth import CertifiedGap, SmoothNetwork, certified_gap
from .training import denoising_score_matching, score_matching, score_matching_path
from .univariate_score import UnivariateScore

__all__ = [
    "CertifiedGap",
    "ChainNetwork",
    "DeepNetwork",
    "DeepScore",
    "DensityError",
    "KinkNetwork",
    "LargeWeightDecay",
    "MemorisationLaw",
    "Piece",
    "PiecewiseLinearScore",
    "QuadraticScore",
    "ScoreMatchingDensity",
    "Selection",
    "SmoothNetwork",
    "SolutionPath",
    "UnivariateScore",
    "WeighedModes",
    "active_set",
    "beam",
    "candidates",
    "certified_gap",
    "certify_deep_denoising",
    "certify_deep_score_matching",
    "certify_denoising",
    "certify_score_matching",
    "chains",
    "choose_weight_decay",
    "closed_forms",
    "coarse_to_fine",
    "compile_loops",
    "compiling",
    "deep",
    "deep_certificates",
    "deep_denoising_score_matching",
    "deep_network",
    "deep_score",
    "deep_score_matching",
    "denoising_path",
    "denoising_score_matching",
    "density_error",
    "dual_violation",
    "estimator",
    "inward_tails",
    "kink_network",
    "large_weight_decay",
    "large_weight_decay_threshold",
    "memorisation",
    "memorisation_law",
    "mode_weights",
    "network_certificates",
    "path",
    "piecewise_linear",
    "pointwise_loss",
    "problem",
    "quadratic",
    "quadratic_denoising",
    "quadratic_score_matching",
    "sample",
    "score_error",
    "score_matching",
    "score_matching_path",
    "selection",
    "sharpening",
    "smallest_deep_penalty",
    "smallest_weight_decay",
    "smooth",
    "solution_path",
    "spline_certificates",
    "tails",
    "training",
    "univariate_score",
    "weigh_modes",
]
