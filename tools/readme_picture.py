"""Draw the picture of the README and of the landing page: `_static/readme.png`.

    python tools/readme_picture.py

One data set, one network class, one loss: the certified optimum beside ten runs of Adam.
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from convexdiff_lib import score_matching
from convexdiff_lib.datasets import GaussianMixture
from convexdiff_lib.paper.nonconvex import train_score_matching
from convexdiff_lib.plots import ROLES, draw, draw_data, draw_histogram, panels, use_style

PICTURE = Path(__file__).parent.parent / "_static" / "readme.png"
BETA = 8.0
TRAINED: dict[str, Any] = {**ROLES["trained"]}
LEARNED: dict[str, Any] = {**ROLES["learned"]}


def main() -> None:
    """Fit, train, draw."""
    law = GaussianMixture(centers=(-3.0, 3.0))
    x = law.sample(200, np.random.default_rng(0))
    fit = score_matching(x, BETA)
    runs = train_score_matching(x, BETA, generator=torch.Generator().manual_seed(0))

    use_style()
    figure, (losses, scores, densities) = panels(["training loss", "score", "density"], height=2.9)
    losses.plot(runs.history, alpha=0.6, **TRAINED)
    losses.axhline(fit.value, label="exact optimum", **LEARNED)
    losses.plot([], [], label="ten runs of Adam", **TRAINED)
    losses.set(xlabel="epoch", ylim=(fit.value - 20, fit.value + 160))
    losses.legend()

    for network in runs.networks:
        draw(scores, network, (-6, 6), "trained")
    draw(scores, fit, (-6, 6), "learned", "optimal network", at=fit.knots)
    draw(scores, law.score, (-6, 6), "exact", "truth")
    draw_data(scores, x)
    scores.set(xlabel="x", ylim=(-5, 5))
    scores.legend(loc="upper right")

    draw_histogram(densities, fit.sample(20_000, np.random.default_rng(1)), (-6, 6), "new samples")
    draw(densities, lambda t: np.exp(fit.log_density(t)), (-6, 6), "learned", "optimal network", at=fit.knots)
    draw(densities, lambda t: np.exp(law.log_density(t)), (-6, 6), "exact", "truth")
    densities.set(xlabel="x", ylim=(0, 0.42))
    densities.legend()
    figure.savefig(PICTURE, dpi=150, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
