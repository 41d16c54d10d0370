r"""From the blocks of a convex program to neurons: the cone decomposition.

The cone of the activation pattern :math:`D_i` holds the vectors u that induce it,
:math:`\mathcal K_i = \{u : S_i X u \ge 0\}` with the signs :math:`S_i = 2 D_i - I` (ReLU) or
:math:`S_i = D_i` (absolute value).  There a neuron is linear: :math:`\sigma(Xu) = D_i X u`.  So the block
:math:`W_i = \sum_k u_k \alpha_k^\top` of a program gives neurons, as soon as every u is written as a
difference of two vectors of the cone (proof of Theorem 9 of the paper, after Mishkin, Sahiner and Pilanci,
2022).

Any direction g strictly inside the cone does this: :math:`u = (u + t g) - t g` for t large enough.  All the
second neurons of a block lie on the same ray and are merged into one, so that a block of rank r needs
:math:`r + 1` neurons; the paper allows 2d.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Activation, FloatArray, as_activation, as_matrix, as_points
from ..networks import TwoLayerNetwork

__all__ = ["network_from_blocks", "split_in_cone"]

_ROOM = 1e-6  # a row is on its side of u by at least this share of the sizes of the row and of u
_NEGLIGIBLE = 1e-14  # singular values below this share of the largest one are rounding


def split_in_cone(u: ArrayLike, rows: ArrayLike, generator: ArrayLike) -> tuple[FloatArray, float]:
    r"""Write u as a difference of two vectors strictly inside a cone.

    The cone is :math:`\{u : r^\top u \ge 0 \text{ for every row } r\}`.

    Parameters
    ----------
    u : array of shape (d,)
    rows : array of shape (n, d)
        The rows :math:`S_i X` of the cone; rows of zeros ask for nothing.
    generator : array of shape (d,)
        A vector g strictly inside the cone.

    Returns
    -------
    inside : array of shape (d,)
        :math:`u + t g`.
    t : float
        Close to the smallest one; zero if u is itself strictly inside.

    Raises
    ------
    ValueError
        If the shapes differ, or the generator is not strictly inside.

    Examples
    --------
    The first quadrant:

    >>> inside, t = split_in_cone([1.0, -2.0], [[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0])
    >>> inside.round(3).tolist(), round(t, 3)
    ([3.0, 0.0], 2.0)
    """
    vector, sides, ray = as_points(u, "u"), as_matrix(rows, "rows"), as_points(generator, "generator")
    if vector.shape != (sides.shape[1],) or ray.shape != vector.shape:
        raise ValueError(
            f"u and generator must have shape ({sides.shape[1]},), one entry per column of rows; "
            f"got {vector.shape} and {ray.shape}"
        )
    lengths = np.linalg.norm(sides, axis=1)
    sides = sides[lengths > 0] / lengths[lengths > 0, None]
    depth = sides @ ray
    if not (depth > 0).all():
        raise ValueError(f"generator must lie strictly inside the cone; a row has product {depth.min():.3g}")
    missing = _ROOM * float(np.linalg.norm(vector)) - sides @ vector
    t = float(np.max(missing / depth, initial=0.0))
    return vector + t * ray, t


def network_from_blocks(
    X: ArrayLike,
    W: ArrayLike,
    patterns: ArrayLike,
    generators: ArrayLike,
    *,
    activation: Activation = "relu",
) -> TwoLayerNetwork:
    r"""Return a network with the values :math:`\sum_i D_i X W_i` at the data, and no biases.

    Each neuron is scaled so that its two weights have one length.  Of u and -u, which make the same block,
    the one that needs the smaller t is split.

    Parameters
    ----------
    X : array of shape (n, d)
    W : array of shape (P, d, d)
        The blocks; blocks of zeros give no neurons.
    patterns : array of shape (P, n)
        Truth values for ReLU, signs -1 and 1 for the absolute value.
    generators : array of shape (P, d)
        One direction strictly inside the cone of each pattern.
    activation : {"relu", "abs"}

    Returns
    -------
    TwoLayerNetwork
        With at most :math:`\sum_i (\mathrm{rank}(W_i) + 1)` neurons.

    Raises
    ------
    ValueError
        If the shapes do not fit together, the patterns do not fit the activation, or a generator does not lie
        strictly inside its cone.

    Examples
    --------
    >>> X, patterns, generators = [[1.0, 0.0], [0.0, 1.0]], [[True, False]], [[1.0, -1.0]]
    >>> net = network_from_blocks(X, [[[0.0, 0.0], [2.0, 1.0]]], patterns, generators)
    >>> net.width, (net(X).round(9) + 0.0).tolist()
    (2, [[0.0, 0.0], [0.0, 0.0]])
    """
    as_activation(activation)
    data, signs = as_matrix(X, "X"), as_points(patterns, "patterns")
    n, d = data.shape
    blocks, rays = as_points(W, "W"), as_points(generators, "generators")
    P = len(signs)
    for name, array, shape in (
        ("patterns", signs, (P, n)),
        ("W", blocks, (P, d, d)),
        ("generators", rays, (P, d)),
    ):
        if array.shape != shape:
            raise ValueError(f"{name} must have shape {shape}; got {array.shape}")
    allowed = (0.0, 1.0) if activation == "relu" else (-1.0, 1.0)
    if not np.isin(signs, allowed).all():
        wanted = "truth values" if activation == "relu" else "signs -1 and 1"
        raise ValueError(f"patterns of {activation!r} must hold {wanted}; got other numbers")
    if activation == "relu":
        signs = 2 * signs - 1
    weights, outgoing = [np.empty((0, d))], [np.empty((0, d))]
    for i in np.flatnonzero(np.any(blocks != 0, axis=(1, 2))):
        w, alpha = _neurons(blocks[i], signs[i][:, None] * data, rays[i])
        weights.append(w)
        outgoing.append(alpha)
    return TwoLayerNetwork.without_biases(
        np.concatenate(weights), np.concatenate(outgoing), activation, balanced=True
    )


def _neurons(block: FloatArray, rows: FloatArray, generator: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return first- and second-layer weights, one row per neuron, that make one block."""
    left, singular, right = np.linalg.svd(block)
    rank = int(np.sum(singular > _NEGLIGIBLE * singular[0]))
    weights, outgoing, back = [], [], np.zeros(block.shape[1])
    for u, alpha in zip(left.T[:rank], (singular[:, None] * right)[:rank], strict=True):
        inside, t = split_in_cone(u, rows, generator)
        mirrored, s = split_in_cone(-u, rows, generator)
        if s < t:
            inside, t, alpha = mirrored, s, -alpha
        weights.append(inside)
        outgoing.append(alpha)
        back = back - t * alpha
    if back.any():
        weights.append(generator)
        outgoing.append(back)
    return np.array(weights), np.array(outgoing)
