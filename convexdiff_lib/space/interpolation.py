r"""What a network without biases can and cannot do at the data, whatever its weights.

Without biases a network is positively homogeneous, :math:`s(cx) = c\,s(x)` for c > 0, and
:math:`u_+ - (-u)_+ = u` makes its odd part linear: :math:`s(x) - s(-x) = V x`.  These are the only
constraints on its values at data points.  So the least-squares program of Theorem 3 of the paper,

.. math:: \min_W \tfrac12 \Big\| \sum_i D_i X W_i - L \Big\|_F^2 ,

has a closed form that needs no activation patterns: project the targets on the values that meet the
constraints.  For data in general position there are none, and the optimum is zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import null_space

from .._validation import Activation, FloatArray, as_activation, as_data

__all__ = ["best_values", "value_constraints"]

_PARALLEL = 1e-12  # two unit vectors closer than this are one: rounding of a normalised row is 1e-16


def value_constraints(X: ArrayLike, *, activation: Activation = "relu") -> FloatArray:
    r"""Return all linear constraints on the values at the data of a network without biases.

    Every row q of the result says :math:`\sum_k q_k s(x_k) = 0` for every network s, and every matrix of
    values that meets all rows belongs to some network.  For ReLU there are three kinds of rows:

    * :math:`s(x_k) = 0` where :math:`x_k = 0`;
    * :math:`s(x_l) = c\, s(x_k)` where :math:`x_l = c\, x_k` with c > 0;
    * :math:`\sum_k \lambda_k [s(x_k) - s(-x_k)] = 0` where :math:`\sum_k \lambda_k x_k = 0`, over the lines
      that hold data on both sides of the origin.

    For the absolute value, :math:`s(-x) = s(x)` takes the place of the last.

    Parameters
    ----------
    X : array of shape (n, d)
        Rows within 1e-12 of each other after normalisation are taken as parallel.
    activation : {"relu", "abs"}

    Returns
    -------
    array of shape (k, n)
        Linearly independent rows; k = 0 for data in general position.

    Raises
    ------
    ValueError
        If X is malformed or the activation is unknown.

    Examples
    --------
    >>> value_constraints([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]).tolist()
    [[2.0, -1.0, 0.0]]
    >>> value_constraints([[1.0, 0.0], [-3.0, 0.0]]).shape
    (0, 2)
    >>> value_constraints([[1.0, 0.0], [-3.0, 0.0]], activation="abs").tolist()
    [[3.0, -1.0]]
    """
    data = as_data(X)
    as_activation(activation)
    n = len(data)
    lengths, units = _lengths_and_directions(data)
    rows = [_row(n, {k: 1.0}) for k in np.flatnonzero(lengths == 0).tolist()]
    leaders: list[int] = []  # one row for every ray (ReLU), or every line (absolute value)
    opposite: list[tuple[int, int]] = []  # leaders of rays on one line
    for k in np.flatnonzero(lengths > 0).tolist():
        same = _near(units, leaders, units[k])
        mirrored = _near(units, leaders, -units[k])
        mate = mirrored if activation == "abs" and same is None else same
        if mate is not None:
            rows.append(_row(n, {mate: lengths[k] / lengths[mate], k: -1.0}))
            continue
        if mirrored is not None:
            opposite.append((mirrored, k))
        leaders.append(k)
    if opposite:
        # Shares of the lines whose directions cancel; unit vectors, so that lengths come in afterwards.
        for shares in null_space(units[[j for j, _ in opposite]].T).T:
            parts: dict[int, float] = {}
            for share, (j, k) in zip(shares, opposite, strict=True):
                parts |= {j: share / lengths[j], k: -share / lengths[k]}
            rows.append(_row(n, parts))
    return np.array(rows).reshape(-1, n)


def best_values(X: ArrayLike, targets: ArrayLike, *, activation: Activation = "relu") -> FloatArray:
    r"""Return the values at the data, of networks without biases, that are closest to the targets.

    Half the squared distance is the optimum of Theorem 3 of the paper.

    Parameters
    ----------
    X : array of shape (n, d)
    targets : array of shape (n, c)
    activation : {"relu", "abs"}

    Returns
    -------
    array of shape (n, c)

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    Two points on one ray, whose values have to be s and 2s.  The targets 3 and 1 are met best by s = 1:

    >>> (best_values([[1.0, 0.0], [2.0, 0.0]], [[3.0, 0.0], [1.0, 0.0]]).round(12) + 0.0).tolist()
    [[1.0, 0.0], [2.0, 0.0]]
    """
    data, labels = as_data(X), as_data(targets, "targets", smallest=0.0)
    if len(labels) != len(data):
        raise ValueError(f"targets must have one row per point, {len(data)}; got {len(labels)}")
    constraints = value_constraints(data, activation=activation)
    basis = np.linalg.qr(constraints.T)[0]
    return labels - basis @ (basis.T @ labels)


def _row(n: int, parts: dict[int, float]) -> FloatArray:
    row = np.zeros(n)
    row[list(parts)] = list(parts.values())
    return row


def _lengths_and_directions(data: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the lengths of the rows, in units of the largest entry, and the unit vectors."""
    scaled = data / max(float(np.abs(data).max()), np.finfo(float).tiny)
    lengths = np.linalg.norm(scaled, axis=1)
    return lengths, scaled / np.where(lengths > 0, lengths, 1.0)[:, None]


def _near(units: FloatArray, among: list[int], direction: FloatArray) -> int | None:
    """Return which of some rows points in a direction, if any does."""
    if not among:
        return None
    distances = np.linalg.norm(units[among] - direction, axis=1)
    closest = int(np.argmin(distances))
    return among[closest] if distances[closest] <= _PARALLEL else None
