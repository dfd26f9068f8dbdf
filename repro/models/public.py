"""Weights in the forms that public implementations save them in, under the names used here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from repro.errors import RecordError

#: Keys under which training scripts keep a network's weights.
_HOLDERS = ("model", "state_dict", "model_state_dict", "net", "weights", "network")
#: Prefixes that wrappers (DataParallel, torch.compile) put before every name.
_WRAPPERS = ("module.", "_orig_mod.")
#: Other names of the same layers: the classifier, and a projection shortcut.
_SYNONYMS = (("linear.", "fc."), ("classifier.", "fc."), (".shortcut.", ".downsample."))


def state_dict(content: Any) -> dict[str, Tensor]:
    """Find a network's weights in what a file of torch.save held.

    Raises:
        RecordError: there are none.
    """
    for holder in (None, *_HOLDERS):
        candidate = content if holder is None else content.get(holder) if isinstance(content, Mapping) else None
        if isinstance(candidate, Mapping) and candidate and all(isinstance(v, Tensor) for v in candidate.values()):
            return {_name(str(key)): value for key, value in candidate.items()}
    keys = f" among {', '.join(map(str, list(content)[:8]))}" if isinstance(content, Mapping) else ""
    raise RecordError(f"no network's weights found{keys}: a state_dict, or a dict holding one, is needed")


def _name(key: str) -> str:
    while key.startswith(_WRAPPERS):
        key = key.split(".", 1)[1]
    for theirs, ours in _SYNONYMS:
        key = ours + key[len(theirs) :] if key.startswith(theirs) else key.replace(theirs, ours, 1)
    return key


def load_weights(net: nn.Module, weights: Mapping[str, Tensor], network: str) -> None:
    """Put weights into a network.

    Raises:
        RecordError: they are not of that network; which names or shapes differ.
    """
    wanted = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    given = {key: tuple(value.shape) for key, value in weights.items()}
    # Old versions of torch did not count batches, and evaluation does not use the count.
    lacking = [key for key in wanted if key not in given and not key.endswith("num_batches_tracked")]
    excess = [key for key in given if key not in wanted]
    shapes = [
        f"{key} {list(given[key])} instead of {list(shape)}"
        for key, shape in wanted.items()
        if key in given and given[key] != shape
    ]
    problems = [
        f"{len(found)} {what} ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''})"
        for what, found in (("names missing", lacking), ("names too many", excess), ("other shapes", shapes))
        if found
    ]
    if problems:
        raise RecordError(f"not the weights of a {network}: {'; '.join(problems)}")
    net.load_state_dict(weights, strict=False)
