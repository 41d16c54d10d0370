"""The paper as printed: its convex programs in CVXPY, its Adam baseline, its experiments.

References and reproductions: nothing else of the library stands on them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
