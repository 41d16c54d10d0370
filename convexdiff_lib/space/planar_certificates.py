"""Certificates for networks in the plane and in space, from the data alone.

Weak duality: the loss of every network is at least the value of any Q to which no unit neuron has a response
above beta, and the largest response is known in closed form on every arc of directions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Activation, as_data, as_matrix
from ..certificates import Certificate
from ..networks import TwoLayerNetwork
from ..objectives import denoising_loss, score_matching_loss
from ._weak_duality import weak_duality
from .problem import PlanarProblem, planar_problem

__all__ = ["certify_planar", "certify_planar_denoising", "certify_planar_score_matching"]


def certify_planar_denoising(
    X: ArrayLike,
    targets: ArrayLike,
    network: TwoLayerNetwork,
    Q: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    bias: bool = False,
    penalise_bias: bool = True,
) -> Certificate:
    r"""Certify an optimal network of the plane, or of space, from the data alone.

    Weak duality: the loss of every network is at least :math:`\langle Q, L\rangle - \tfrac12\|Q\|_F^2` if no
    unit neuron has a response above beta.  Any Q is first shrunk until this is so.

    Parameters
    ----------
    X, targets : arrays of shape (n, d)
    network : TwoLayerNetwork
        Primal candidate, without skip connection.
    Q : array of shape (n, d)
        Dual candidate.
    beta : float
    activation, bias, penalise_bias
        As `planar_denoising` takes them.

    Returns
    -------
    Certificate
        Its gap is compared with the larger of the two values.

    Raises
    ------
    ValueError
        If an argument is malformed, or the network is not of the class that is certified.

    Examples
    --------
    >>> import numpy as np
    >>> half = np.array([[np.sqrt(0.5), 0.0]])
    >>> net = TwoLayerNetwork(half, np.zeros(1), half.T, np.zeros(2), np.zeros((2, 2)))
    >>> print(certify_planar_denoising([[1, 0]], [[1, 0]], net, [[0.5, 0]], beta=0.5))
    certificate holds: primal 0.375, dual 0.375
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    labels = as_data(targets, "targets", smallest=0.0)  # None, too, is refused
    problem = planar_problem(
        X, beta, targets=labels, activation=activation, bias=bias, penalise_bias=penalise_bias
    )
    return certify_planar(problem, network, Q)


def certify_planar_score_matching(
    X: ArrayLike,
    network: TwoLayerNetwork,
    Q: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    bias: bool = False,
    penalise_bias: bool = True,
) -> Certificate:
    r"""Certify an optimal network of score matching in the plane, or in space, from the data alone.

    Weak duality: the loss of every network is at least :math:`-\tfrac12\|Q\|_F^2` if no unit neuron has a
    response :math:`\|Q^\top D X u - \mathrm{tr}(D)\, u\|` above beta, on any arc, its ends included.

    Parameters
    ----------
    X : array of shape (n, d)
    network : TwoLayerNetwork
        Primal candidate, without skip connection; its neurons in open chambers.
    Q : array of shape (n, d)
        Dual candidate.
    beta : float
    activation, bias, penalise_bias
        As `planar_score_matching` takes them.

    Returns
    -------
    Certificate
        Its gap is compared with the larger of the two values, and with the loss
        :math:`-2n^2/\|X\|_F^2` of the best score that is a multiple of x.

    Raises
    ------
    ValueError
        If an argument is malformed, or the network is not of the class that is certified.

    Examples
    --------
    >>> import convexdiff_lib as cd
    >>> fit = cd.planar_score_matching([[1.0, 0.0], [0.0, 1.0]], beta=1.2)
    >>> certify_planar_score_matching([[1, 0], [0, 1]], fit.network(), fit.Q, beta=1.2).holds
    True
    """
    problem = planar_problem(X, beta, activation=activation, bias=bias, penalise_bias=penalise_bias)
    return certify_planar(problem, network, Q)


def certify_planar(problem: PlanarProblem, network: TwoLayerNetwork, Q: ArrayLike) -> Certificate:
    """Certify a network for a problem of either kind; arguments and errors as above.

    Examples
    --------
    >>> half = np.array([[np.sqrt(0.5), 0.0]])
    >>> net = TwoLayerNetwork(half, np.zeros(1), half.T, np.zeros(2), np.zeros((2, 2)))
    >>> certify_planar(planar_problem([[1, 0]], 0.5, targets=[[1, 0]]), net, [[0.5, 0]]).holds
    True
    """
    points, targets, beta = problem.points, problem.targets, problem.beta
    dual_point = as_matrix(Q, "Q")
    if dual_point.shape != points.shape:
        raise ValueError(f"Q must have the shape of X, {points.shape}; got {dual_point.shape}")
    biased = (network.b1.any() and not problem.bias) or (network.b2.any() and not problem.free)
    if network.activation != problem.activation or biased or network.V.any():
        raise ValueError(
            f"network must have activation {problem.activation!r}, no skip connection, and "
            + ("biases of its hidden neurons only" if problem.bias else "no biases")
        )
    if targets is None:
        primal = score_matching_loss(network, points, beta)
    else:
        primal = denoising_loss(network, points, targets, beta)
    first = network.W1
    if problem.bias and problem.penalise_bias:
        first = np.column_stack([first, network.b1])
        primal += 0.5 * beta * float(network.b1 @ network.b1)
    if problem.free:  # a constant costs nothing
        dual_point = dual_point - dual_point.mean(axis=0)
    weight = float(np.linalg.norm(first, axis=1) @ np.linalg.norm(network.W2, axis=0))
    largest = problem.constraints().largest(dual_point)
    return weak_duality(problem, network(points), primal, dual_point, largest, weight)
