"""The source code that a network is made of, as a hash: whether two of one name are the same network."""

from __future__ import annotations

import hashlib
import inspect
import sys

from torch import nn


def source_hash(net: nn.Module) -> str | None:
    """SHA-256 of the source of the Python modules that define a network's layers, torch's own apart.

    A comment counts as well. None where there is no source, as of a class that was typed into an interpreter.
    """
    kinds = {kind for layer in net.modules() for kind in type(layer).__mro__ if issubclass(kind, nn.Module)}
    modules = {kind.__module__ for kind in kinds if kind.__module__.partition(".")[0] != "torch"}
    digest = hashlib.sha256()
    try:
        for name in sorted(modules):
            digest.update(inspect.getsource(sys.modules[name]).encode())
    except (OSError, TypeError):
        return None
    return digest.hexdigest()
