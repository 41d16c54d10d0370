r"""A least-squares problem with weights that are not negative, solved face by face as columns come in."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from scipy.linalg import qr_delete, solve_triangular

from .._validation import FloatArray

__all__ = ["FaceDescent"]

_DEPENDENT = 1e-9  # what is left of a column of length one beside the others, if it is one of them
_OFTEN = 50  # updates of the factors before they are made anew
_NOTHING = 1e-10  # of a weight, where columns of length one are combined


Name = TypeVar("Name")


class FaceDescent(Generic[Name]):
    r"""A least-squares problem over y, of which all but the first entries must not be negative.

    Minimised is

    .. math:: \tfrac12 |A y - t|^2 + q^T y .

    Columns come in one by one; those whose weight becomes zero leave.  After every call y is the optimum over
    the columns that are in, all their weights positive.  A column that is a combination of the others takes
    the place of the one that it drives out.

    Parameters
    ----------
    target : array of shape (n,)
    columns : array of shape (n, k)
        Of the entries that may have any sign.
    cost : array of shape (k,)

    Examples
    --------
    >>> descent = FaceDescent(np.array([2.0, 0.0]), np.zeros((2, 0)), np.zeros(0))
    >>> descent.admit(np.array([1.0, 0.0]), 0.5, "one")
    True
    >>> descent.names, descent.weights.tolist()
    (['one'], [1.5])
    """

    def __init__(self, target: FloatArray, columns: FloatArray, cost: FloatArray) -> None:
        self.target, self.names = target, list[Name]()
        self.size = np.linalg.norm(columns, axis=0)
        self.A, self.cost, self.free = columns / self.size, cost / self.size, len(cost)
        self.y = np.zeros(self.free)
        self.Q, self.R = np.linalg.qr(self.A)
        self.updates = 0
        self._settle()

    @property
    def residual(self) -> FloatArray:
        """What is fitted less the target."""
        found: FloatArray = self.A @ self.y - self.target
        return found

    @property
    def rounding(self) -> FloatArray:
        """The size of what is added up in the residual."""
        found: FloatArray = np.abs(self.A) @ np.abs(self.y) + np.abs(self.target)
        return found

    @property
    def weights(self) -> FloatArray:
        """Of the columns that came in, in the order of their names."""
        found: FloatArray = (self.y / self.size)[self.free :]
        return found

    @property
    def free_weights(self) -> FloatArray:
        """Of the columns that may have any sign."""
        found: FloatArray = (self.y / self.size)[: self.free]
        return found

    def step(self, gradient: FloatArray) -> FloatArray:
        """Return by how much the weights change where the gradient at them is this.

        Both are of all columns, those of any sign first.
        """
        found = self._back(gradient / self.size)
        found = solve_triangular(self.R, found, check_finite=False)
        change: FloatArray = -found / self.size
        return change

    def admit(self, column: FloatArray, cost: float, name: Name) -> bool:
        """Let a column in that lowers the loss, and settle; False if it lowers the loss without end."""
        length = float(np.linalg.norm(column))
        new = column / length
        along = self.Q.T @ new
        rest = new - self.Q @ along
        again = self.Q.T @ rest
        rest, along = rest - self.Q @ again, along + again
        left = float(np.linalg.norm(rest))
        self.A, self.y = np.column_stack([self.A, new]), np.append(self.y, 0.0)
        self.cost, self.size = np.append(self.cost, cost / length), np.append(self.size, length)
        self.names.append(name)
        if left > _DEPENDENT:
            self.Q = np.column_stack([self.Q, rest / left])
            self.R = np.block([[self.R, along[:, None]], [np.zeros((1, len(along))), np.array([[left]])]])
            self._settle()
            return True
        return self._exchange(np.append(-solve_triangular(self.R, along), 1.0))

    def _exchange(self, direction: FloatArray) -> bool:
        """Go where the fit stays as it is and the cost falls, until a weight is zero."""
        falling = np.flatnonzero(direction < -_NOTHING)
        falling = falling[falling >= self.free]
        if not len(falling):
            return False
        steps = -self.y[falling] / direction[falling]
        k = int(np.argmin(steps))
        self.y = self.y + steps[k] * direction
        self._forget(int(falling[k]))
        self._factor()
        self._settle()
        return True

    def _factor(self) -> None:
        self.Q, self.R = np.linalg.qr(self.A)
        self.updates = 0

    def _forget(self, k: int) -> None:
        keep = np.arange(len(self.y)) != k
        self.A, self.cost, self.size, self.y = self.A[:, keep], self.cost[keep], self.size[keep], self.y[keep]
        del self.names[k - self.free]

    def _drop(self, k: int) -> None:
        """Let a column out, and update the factors."""
        self._forget(k)
        self.updates += 1
        if self.updates > _OFTEN:
            self._factor()
        else:
            Q, R = qr_delete(self.Q, self.R, k, which="col", check_finite=False)
            self.Q, self.R = Q[:, : len(self.y)], R[: len(self.y)]  # more, if Q was square

    def _settle(self) -> None:
        """Go to the optimum of the face, and to smaller faces on the way where weights would be negative."""
        while True:
            aim = self._best()
            bad = np.flatnonzero(aim[self.free :] < 0) + self.free
            if not len(bad):
                self.y = aim
                return
            steps = self.y[bad] / (self.y[bad] - aim[bad])
            k = int(np.argmin(steps))
            self.y = self.y + steps[k] * (aim - self.y)
            self.y[self.free :] = np.maximum(self.y[self.free :], 0.0)
            self._drop(int(bad[k]))

    def _best(self) -> FloatArray:
        """Solve for the optimum of the face, and refine it once."""
        found = solve_triangular(self.R, self.Q.T @ self.target - self._back(self.cost), check_finite=False)
        wrong = self.A.T @ (self.target - self.A @ found) - self.cost
        best: FloatArray = found + solve_triangular(self.R, self._back(wrong), check_finite=False)
        return best

    def _back(self, values: FloatArray) -> FloatArray:
        found: FloatArray = solve_triangular(self.R, values, trans="T", check_finite=False)
        return found
