from . import (
    arrangements,
    chambers,
    circles,
    cones,
    counting,
    cross_products,
    directions,
    gated,
    group_lasso,
    interpolation,
    neurons,
    planar,
    planar_certificates,
    problem,
    sphere,
    wedge,
)
from .arrangements import (
    Arrangements,
    Merged,
    coverage,
    enumerate_arrangements,
    iterate_chambers,
    printed_patterns,
)
from .chambers import chamber_diameters
from .cones import network_from_blocks, split_in_cone
from .counting import count_arrangements, count_bound, count_chambers
from .cross_products import cross_product
from .directions import wedge_directions
from .gated import (
    CriticalWeightDecay,
    GatedScore,
    certify_gated,
    critical_weight_decay,
    gated_denoising,
    gated_score_matching,
)
from .group_lasso import GroupLasso, certify_group_lasso, solve_group_lasso
from .planar import PlanarScore, planar_critical_weight_decay, planar_denoising, planar_score_matching
from .planar_certificates import certify_planar_denoising, certify_planar_score_matching
from .wedge import WedgeScore, certify_wedge, wedge_denoising

__all__ = [
    "Arrangements",
    "CriticalWeightDecay",
    "GatedScore",
    "GroupLasso",
    "Merged",
    "PlanarScore",
    "WedgeScore",
    "arrangements",
    "certify_gated",
    "certify_group_lasso",
    "certify_planar_denoising",
    "certify_planar_score_matching",
    "certify_wedge",
    "chamber_diameters",
    "chambers",
    "circles",
    "cones",
    "count_arrangements",
    "count_bound",
    "count_chambers",
    "counting",
    "coverage",
    "critical_weight_decay",
    "cross_product",
    "cross_products",
    "directions",
    "enumerate_arrangements",
    "gated",
    "gated_denoising",
    "gated_score_matching",
    "group_lasso",
    "interpolation",
    "iterate_chambers",
    "network_from_blocks",
    "neurons",
    "planar",
    "planar_certificates",
    "planar_critical_weight_decay",
    "planar_denoising",
    "planar_score_matching",
    "printed_patterns",
    "problem",
    "solve_group_lasso",
    "sphere",
    "split_in_cone",
    "wedge",
    "wedge_denoising",
    "wedge_directions",
]
