from . import (
    active_set,
    beam,
    candidates,
    closed_forms,
    coarse_to_fine,
    compiling,
    estimator,
    inward_tails,
    kink_network,
    memorisation,
    network_certificates,
    path,
    piecewise_linear,
    problem,
    sample,
    selection,
    sharpening,
    spline_certificates,
    tails,
    training,
    univariate_score,
)
from .closed_forms import LargeWeightDecay, large_weight_decay, large_weight_decay_threshold
from .compiling import compile_loops
from .estimator import ScoreMatchingDensity
from .kink_network import KinkNetwork
from .memorisation import MemorisationLaw, memorisation_law
from .network_certificates import certify_denoising, certify_score_matching, dual_violation
from .path import Piece, SolutionPath, denoising_path, solution_path
from .piecewise_linear import PiecewiseLinearScore
from .sample import smallest_weight_decay
from .selection import (
    DensityError,
    Selection,
    choose_weight_decay,
    density_error,
    pointwise_loss,
    score_error,
)
from .training import denoising_score_matching, score_matching, score_matching_path
from .univariate_score import UnivariateScore

__all__ = [
    "DensityError",
    "KinkNetwork",
    "LargeWeightDecay",
    "MemorisationLaw",
    "Piece",
    "PiecewiseLinearScore",
    "ScoreMatchingDensity",
    "Selection",
    "SolutionPath",
    "UnivariateScore",
    "active_set",
    "beam",
    "candidates",
    "certify_denoising",
    "certify_score_matching",
    "choose_weight_decay",
    "closed_forms",
    "coarse_to_fine",
    "compile_loops",
    "compiling",
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
    "network_certificates",
    "path",
    "piecewise_linear",
    "pointwise_loss",
    "problem",
    "sample",
    "score_error",
    "score_matching",
    "score_matching_path",
    "selection",
    "sharpening",
    "smallest_weight_decay",
    "solution_path",
    "spline_certificates",
    "tails",
    "training",
    "univariate_score",
]
