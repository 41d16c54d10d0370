"""The optimal scores of tiny problems in rational arithmetic, from the duals as the paper prints them.

Nothing here knows the library: the constraints are written down row by row, and the projection is the dual
method of Goldfarb and Idnani (1983) for strictly convex quadratic programs, which in exact arithmetic ends
with the one solution.
"""

from __future__ import annotations

from fractions import Fraction

Vector = list[Fraction]


def exact_scores(
    x: list[float],
    beta: float,
    *,
    activation: str = "relu",
    skip: bool = False,
    targets: list[float] | None = None,
) -> Vector:
    """Return the optimal score at every data point, in the order of x; targets make it denoising.

    In denoising the score is the target less the dual variable, with the mean that the free bias adds.
    """
    data = [Fraction(v) for v in x]
    aims = [Fraction(0)] * len(data) if targets is None else [Fraction(t) for t in targets]
    decay, counted = Fraction(beta), int(targets is None)
    rows, bounds = [], []

    def both_signs(row: Vector, shift: Fraction) -> None:
        """|row z - shift| <= beta."""
        rows.extend([row, [-entry for entry in row]])
        bounds.extend([decay + shift, decay - shift])

    for t in sorted(set(data)):
        at, right, left = (sum(sign(v, t) for v in data) for sign in (_equal, _above, _below))
        hinges = [max(v - t, Fraction(0)) for v in data]
        mirrored = [max(t - v, Fraction(0)) for v in data]
        for reading in (0, 1):
            if activation == "relu":
                both_signs(hinges, Fraction(counted * (right + reading * at)))
                both_signs(mirrored, Fraction(-counted * (left + reading * at)))
            else:
                here = at if reading else -at
                both = [a + b for a, b in zip(hinges, mirrored, strict=True)]
                both_signs(both, Fraction(counted * (right - left + here)))
    equations, values = [[Fraction(1)] * len(data)], [Fraction(0)]
    if skip:
        equations.append(list(data))
        values.append(Fraction(counted * len(data)))
    mean = sum(aims, Fraction(0)) / len(aims)
    z = project([a - mean for a in aims], equations, values, rows, bounds)
    return [a - b for a, b in zip(aims, z, strict=True)]


def _equal(v: Fraction, t: Fraction) -> int:
    return int(v == t)


def _above(v: Fraction, t: Fraction) -> int:
    return int(v > t)


def _below(v: Fraction, t: Fraction) -> int:
    return int(v < t)


def project(
    start: Vector, equations: list[Vector], values: Vector, rows: list[Vector], bounds: Vector
) -> Vector:
    """Return the point nearest to ``start`` with equations z = values and rows z <= bounds."""
    z = list(start)
    active: list[tuple[Vector, Fraction, bool]] = []  # row, multiplier, whether it may leave
    pending = [(row, value) for row, value in zip(equations, values, strict=True)]
    for row, value in pending:
        if _dot(row, z) < value:  # as an inequality that is violated
            row, value = [-entry for entry in row], -value
        z, active = _enter(z, active, row, value, may_leave=False)
    while True:
        excess = [_dot(row, z) - bound for row, bound in zip(rows, bounds, strict=True)]
        worst = max(range(len(rows)), key=excess.__getitem__)
        if excess[worst] <= 0:
            return z
        z, active = _enter(z, active, rows[worst], bounds[worst], may_leave=True)


def _enter(
    z: Vector, active: list[tuple[Vector, Fraction, bool]], row: Vector, bound: Fraction, *, may_leave: bool
) -> tuple[Vector, list[tuple[Vector, Fraction, bool]]]:
    """Make one more constraint tight; others leave where their multipliers would turn negative."""
    multiplier = Fraction(0)
    while _dot(row, z) > bound or not may_leave:
        normals = [normal for normal, _, _ in active]
        gram = [[_dot(a, b) for b in normals] for a in normals]
        shares = _solve(gram, [_dot(a, row) for a in normals])
        direction = list(row)
        for share, normal in zip(shares, normals, strict=True):
            direction = [d - share * e for d, e in zip(direction, normal, strict=True)]
        length = _dot(direction, row)
        leavers = [
            (u / share, j)
            for j, ((_, u, free), share) in enumerate(zip(active, shares, strict=True))
            if free and share > 0
        ]
        first = min(leavers, default=None)
        if length == 0 and first is None:
            if not may_leave and _dot(row, z) == bound:
                return z, active  # an equation that follows from the others
            raise ArithmeticError("the constraints contradict each other")
        full = (_dot(row, z) - bound) / length if length else None
        step = first[0] if full is None or (first is not None and first[0] < full) else full
        z = [v - step * d for v, d in zip(z, direction, strict=True)]
        active = [(n, u - step * s, free) for (n, u, free), s in zip(active, shares, strict=True)]
        multiplier += step
        if step == full:
            return z, [*active, (row, multiplier, may_leave)]
        assert first is not None
        active = [entry for j, entry in enumerate(active) if j != first[1]]
    return z, active


def _dot(a: Vector, b: Vector) -> Fraction:
    return sum((p * q for p, q in zip(a, b, strict=True)), Fraction(0))


def _solve(matrix: list[Vector], right: Vector) -> Vector:
    """Gauss's elimination; the matrix is positive definite."""
    n = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for k in range(n):
        pivot = next(i for i in range(k, n) if rows[i][k] != 0)
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            if factor:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    solution = [Fraction(0)] * n
    for k in range(n - 1, -1, -1):
        rest = rows[k][n] - sum((rows[k][j] * solution[j] for j in range(k + 1, n)), Fraction(0))
        solution[k] = rest / rows[k][k]
    return solution
