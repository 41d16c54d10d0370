"""Many dimensions: activation patterns, and training that is exact over them.

``arrangements`` lists the patterns, ``counting`` counts them, ``chambers`` and ``cones`` say what is in one;
in the plane, where they are arcs, ``arcs`` does all of this.  A ``problem`` is what was given, checked.
``planar`` trains networks of the plane exactly, ``gated`` and ``wedge`` solve the convex programs with given
patterns or with the features of ``directions``, which end in a ``group_lasso`` or in a spectral barrier.  All
go one way: data, patterns, problem, neurons and dual variable, certificate, score.  A certificate knows the
problem and no solver.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
