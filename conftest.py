"""For every test: what its kernels inherit, and what to do where something is not installed."""

import os
from collections.abc import Callable

import pytest
from convexdiff_chapters import settle_kernel_environment

settle_kernel_environment()


@pytest.fixture(scope="session")
def require() -> Callable[[object, str], None]:
    """Skip a test where something is missing; with CI=true that is a failure instead."""

    def check(there: object, what: str) -> None:
        if not there:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {what}")

    return check
