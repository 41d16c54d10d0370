from . import exact_law, grid_law, langevin
from .exact_law import (
    GridTooCoarseError,
    annealed_laws,
    averaged_law,
    langevin_laws,
    propagate,
    running_averages,
)
from .grid_law import GridLaw, wasserstein
from .langevin import annealed_langevin_dynamics, langevin_dynamics

__all__ = [
    "GridLaw",
    "GridTooCoarseError",
    "annealed_langevin_dynamics",
    "annealed_laws",
    "averaged_law",
    "exact_law",
    "grid_law",
    "langevin",
    "langevin_dynamics",
    "langevin_laws",
    "propagate",
    "running_averages",
    "wasserstein",
]
