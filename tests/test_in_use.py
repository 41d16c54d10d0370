"""What ``make kernels`` forces is in use in the very process that runs the tests."""

import os

from tools import kernels


def test_this_process_computes_with_what_is_forced() -> None:
    assert kernels.not_as_forced(kernels.used_here(), os.environ) == []
