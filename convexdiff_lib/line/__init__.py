"""One dimension: exact training of univariate networks by score matching and denoising.

The way through: a ``sample`` becomes a ``problem``, which is a ``beam`` in a tube; ``coarse_to_fine`` and
``active_set`` find where it touches; ``candidates`` makes that a claim, ``sharpening`` and
``spline_certificates`` make it certain, and ``training`` hands on network, dual variable and score as one
``univariate_score``, which keeps the network as a ``kink_network`` and the score as a ``piecewise_linear``
function.  What stands at the outermost data is told by ``tails``, and ``inward_tails`` finds the prices that
keep the score from pointing outwards there.  Beside it stand the ``path`` in the weight decay, the
``selection`` of one, the ``estimator`` for scikit-learn, ``closed_forms`` where the weight decay is large,
``network_certificates`` for a network from anywhere, and ``compiling`` ahead of time.  ``deep`` trains three
layers, whose ``deep_score`` keeps its network as ``chains`` and has a ``deep_network`` of literal weights on
demand, judged by ``deep_certificates``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
