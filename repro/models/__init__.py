"""The paper's networks: `build(name)` gives one, initialised."""

from repro.models.registry import build

__all__ = ["build"]
