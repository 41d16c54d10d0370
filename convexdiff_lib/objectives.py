r"""The training losses of the paper, for any network, with no knowledge of how it was found.

Sums over the sample, never means; biases and the skip connection are not penalised.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._validation import as_matrix, as_not_negative, expect_one_shape
from .networks import TwoLayerNetwork

__all__ = ["denoising_loss", "score_matching_loss"]


def _decay(network: TwoLayerNetwork, beta: float) -> float:
    return 0.5 * as_not_negative(beta, "beta") * network.squared_norm


def score_matching_loss(network: TwoLayerNetwork, x: ArrayLike, beta: float) -> float:
    r"""Score-matching loss with weight decay, display (2) of the paper.

    .. math:: \sum_{i=1}^n \Big[ \tfrac12 \|s(x_i)\|^2 + \mathrm{tr}\,\nabla s(x_i) \Big]
              + \tfrac{\beta}{2} \big( \|W^{(1)}\|_F^2 + \|W^{(2)}\|_F^2 \big)

    Parameters
    ----------
    network : TwoLayerNetwork
    x : array of shape (n,) or (n, d)
    beta : float
        Weight decay, at least 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If x is empty, not finite, or of another dimension than the network; if beta is negative.

    Examples
    --------
    >>> from convexdiff_lib.networks import TwoLayerNetwork
    >>> line = TwoLayerNetwork.univariate([], [], [], v=-1.0)
    >>> score_matching_loss(line, [-1.0, 1.0], beta=4.0)
    -1.0
    """
    points = as_matrix(x)
    fit = 0.5 * np.sum(network(points) ** 2) + np.sum(network.divergence(points))
    return float(fit + _decay(network, beta))


def denoising_loss(network: TwoLayerNetwork, x_noisy: ArrayLike, targets: ArrayLike, beta: float) -> float:
    r"""Denoising score-matching loss with weight decay, displays (26) and (27) of the paper.

    .. math:: \tfrac12 \sum_{i=1}^n \| s(\tilde x_i) - \ell_i \|^2
              + \tfrac{\beta}{2} \big( \|W^{(1)}\|_F^2 + \|W^{(2)}\|_F^2 \big)

    For data perturbed to :math:`\tilde x_i = x_i + \sigma \delta_i` the score target is
    :math:`\ell_i = -\delta_i / \sigma`, with the minus sign.

    Parameters
    ----------
    network : TwoLayerNetwork
    x_noisy, targets : arrays of shape (n,) or (n, d)
    beta : float
        Weight decay, at least 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the two arrays differ in shape, are empty or not finite; if beta is negative.

    Examples
    --------
    >>> from convexdiff_lib.networks import TwoLayerNetwork
    >>> denoising_loss(TwoLayerNetwork.univariate([], [], [], b0=1.0), [0.0, 5.0], [1.0, -1.0], beta=0.0)
    2.0
    """
    points, labels = as_matrix(x_noisy, "x_noisy"), as_matrix(targets, "targets")
    expect_one_shape(x_noisy=points, targets=labels)
    return float(0.5 * np.sum((network(points) - labels) ** 2) + _decay(network, beta))
