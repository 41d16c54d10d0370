"""Sampling from a score: Langevin dynamics, and the exact law of its iterates in one dimension."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
