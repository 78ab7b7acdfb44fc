"""Programs of the images, which are files and no package: loaded from where they are."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from interlock.settings import REPOSITORY


def load_program(path: str) -> ModuleType:
    """Loads a program without running it.

    Args:
        path: From the repository's root, e.g. ``docker/platform/code_server.py``.
    """
    name = path.removesuffix(".py").replace("/", "_")
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
