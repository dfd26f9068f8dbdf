"""The weights of other programs in the networks of this project: by the names of layers, or else by their order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise, product

import torch
from torch import Tensor, nn

from repro import names
from repro.errors import RecordError, UserError
from repro.models.registry import build
from repro.models.shortcuts import ZeroPadded
from repro.models.weights import CONVERT, Weights, branch
from repro.names import NetworkName

#: Other names of the same layers: the classifier, and a projection shortcut.
_SYNONYMS = (("linear.", "fc."), ("classifier.1.", "fc."), ("classifier.", "fc."), (".shortcut.", ".downsample."))
#: Names of Hugging Face's transformers, whose safetensors are in the order of the alphabet: known by name alone.
_TRANSFORMERS = re.compile(
    r"(?:resnet\.)?(?:embedder\.embedder|encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:layer\.(\d+)|shortcut))"
    r"\.(convolution|normalization)\.(\w+)"
)
#: What tools count beside a layer's weights; evaluation does not use it.
_COUNTS = ("num_batches_tracked", "total_ops", "total_params")
#: What names of alike layers count by: numbers, and single letters.
_COUNTING = re.compile(r"\d+|(?<![a-zA-Z])[a-z](?![a-zA-Z])")
#: How images are normalised, where a file keeps that beside the layers.
_MEAN, _STD = (re.compile(rf"(^|.*[._])(?<!running_)(?<!moving_)({words})$") for words in ("mean|mu", "std|sigma"))


def load_weights(
    net: nn.Module, found: Sequence[Weights], network: str, family: names.Family = "cifar"
) -> tuple[Weights, str]:
    """Put into a network those weights among the ones found that are its own; gives them, and how they were taken.

    Args:
        net: of this name and family.
        found: what may be its weights.

    Raises:
        RecordError: none are, and whose they are, or which names or shapes differ; or several are.
    """
    wanted = {key: value for key, value in net.state_dict().items() if not key.endswith(_COUNTS)}
    fitting: list[tuple[Weights, dict[str, Tensor], str]] = []
    problem = ""
    for weights in sorted(found, key=lambda one: -len(one.tensors)):
        try:
            tensors, how = _matched(wanted, weights.tensors)
        except RecordError as error:
            known = known_as(weights)
            others = f"these are the weights of a {' or '.join(known)}"
            # Of the net that is asked for it is some name, or the size of the first layer or the last, that differs.
            reason = others if known and _said(names.parse(network, family)) not in known else error
            problem = problem or f"not the weights of a {network}: {reason}"
            continue
        if not any(all(torch.equal(tensors[key], others[key]) for key in wanted) for _, others, _ in fitting):
            fitting.append((weights, tensors, how))
    if not fitting:
        raise RecordError(problem)
    if len(fitting) > 1:
        places = ", ".join(weights.place or "the file itself" for weights, _, _ in fitting)
        raise RecordError(f"holds the weights of several {network}s ({places}): --weights NAME says which to take")
    weights, tensors, how = fitting[0]
    net.load_state_dict(tensors, strict=False)
    where = f"at {weights.holder!r}" if weights.holder else "the whole file"
    prefix = f"prefix {weights.prefix!r} taken off" if weights.prefix else ""
    is_used = family == "cifar" and normalisations(weights)
    used, unused = (
        {branch(key, weights.prefix) for key in weights.beside if _is_aside(key) is is_it} for is_it in (True, False)
    )
    left = [name for name in weights.aside if not is_used or name not in used - unused]
    aside = f"left aside: {', '.join(left)}" if left else ""
    return weights, "; ".join(filter(None, (where, prefix, how, aside)))


def _matched(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The weights under the names used here, and how they came to these where not by their own."""
    given = {key: value for key, value in given.items() if not _is_aside(key)}
    _check_layers(wanted, given)
    theirs, ours = ([len(value) for value in weights.values() if value.dim() == 2] for weights in (given, wanted))
    if len(theirs) == 1 and theirs != ours:
        raise RecordError(f"its classifier has {theirs[0]} outputs, not {ours[0]}: it was trained on other images")
    named = {_name(key): value for key, value in given.items()}
    # What else a program keeps has names of other beginnings.
    used = {key.split(".")[0] for key in wanted}
    excess = [key for key in named if key not in wanted and ("." not in key or key.split(".")[0] in used)]
    lacking = [key for key in wanted if key not in named]
    shapes = [
        f"{key} {list(named[key].shape)} instead of {list(value.shape)}"
        for key, value in wanted.items()
        if key in named and named[key].shape != value.shape
    ]
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (("names missing", lacking), ("names too many", excess), ("other shapes", shapes))
        if keys
    ]
    if not problems:
        return {key: named[key] for key in wanted}, ""
    return _by_order(wanted, given, "; ".join(problems))


def _check_layers(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Raise RecordError where layers are kept in another form than PyTorch's: in which, and what gives that."""
    leaves = {key.rpartition(".")[2] for key in given}
    theirs, ours = ({value.shape for value in weights.values() if value.dim() == 2} for weights in (given, wanted))
    convolutions = [value.shape for value in given.values() if value.dim() == 4]
    problem = ""
    if all(shape[1] == shape[2] for shape in convolutions) and any(shape[2] != shape[3] for shape in convolutions):
        problem = f"its convolutions, each of them, are kept as (outputs, height, width, inputs), as by MLX: {CONVERT}"
    elif {"min_val", "max_val"} <= leaves:
        problem = "it has quantisers (quantisation-aware training), which are not applied here: use weights without"
    elif not theirs & ours and {shape[::-1] for shape in theirs} & ours:
        problem = f"its classifier is transposed, as Flax and Keras keep arrays: {CONVERT}"
    elif {"original", "original0", "weight_g", "weight_u"} & leaves:
        remove = "remove_parametrizations (or remove_weight_norm, remove_spectral_norm)"
        problem = f"its layers have weights made of others: save it after {remove} of torch.nn.utils on each"
    elif all(key.endswith("bias") for key, value in given.items() if value.dim() == 1):
        problem = (
            "it has no batch normalisation, which may be folded into its convolutions: use weights from before that"
        )
    if problem:
        raise RecordError(problem)


def _is_aside(key: str) -> bool:
    """Whether this is a count, or normalises images."""
    return bool(key.endswith(_COUNTS) or _MEAN.match(key) or _STD.match(key))


def _name(key: str) -> str:
    """The name used here of a layer's tensor."""
    if found := _TRANSFORMERS.fullmatch(key):
        stage, block, layer, kind, leaf = found.groups()
        is_norm = kind == "normalization"
        place = f"layer{int(stage) + 1}.{block}." if stage else ""
        if stage and layer is None:
            return f"{place}downsample.{int(is_norm)}.{leaf}"
        return f"{place}{'bn' if is_norm else 'conv'}{int(layer or 0) + 1}.{leaf}"
    for theirs, ours in _SYNONYMS:
        key = ours + key[len(theirs) :] if key.startswith(theirs) else key.replace(theirs, ours, 1)
    return key


def _by_order(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], problem: str) -> tuple[dict[str, Tensor], str]:
    """Weights of other names, matched as they come, or by the numbers in them, where all that can be seen is alike.

    A net that normalises before it convolves has the same shapes in the same order, and is another: there what comes
    after a convolution belongs to the next block.
    """
    here = list(dict.fromkeys(key.rpartition(".")[2] for key in wanted))
    if leaves := dict.fromkeys(leaf for key in given if (leaf := key.rpartition(".")[2]) not in here):
        called = ", ".join(list(leaves)[:6])
        raise RecordError(f"{problem}; its tensors are called {called}, where PyTorch has {', '.join(here)}")
    for weights, order in product((given, _by_numbers(given, here)), (wanted, _shortcuts_first(wanted))):
        ours, theirs = ([(key.rpartition(".")[2], x.shape) for key, x in one.items()] for one in (order, weights))
        layers = list(dict.fromkeys(key.rpartition(".")[0] for key in weights))
        beside = all(
            layer.rpartition(".")[0] == after.rpartition(".")[0] or after.startswith(f"{layer}.")
            for layer, after in pairwise(layers)
            if f"{layer}.weight" in weights and weights[f"{layer}.weight"].dim() == 4
        )
        if ours == theirs and not beside:
            raise RecordError("normalisation seems to come before each convolution (pre-activation): another network")
        if ours == theirs and (late := _late_shortcut(given)):
            raise RecordError(
                f"{late} is second in its shortcut, after something without weights, such as the pooling of ResNet-D: "
                "another network"
            )
        if ours == theirs and _counts_up(layers):
            break
    else:
        raise RecordError(problem + _of_unknown_names(wanted, given))
    first = next(pair for pair in zip(weights, order, strict=True) if pair[0] != pair[1])
    by = "the order of its layers" if weights is given else "the numbers in the names of its layers"
    how = f"read by {by}, which have other names ({first[0]} for {first[1]}, ...)"
    return dict(zip(order, weights.values(), strict=True)), how


def _late_shortcut(given: Mapping[str, Tensor]) -> str:
    """A projection shortcut's convolution that is not the first of its layers, by its number; empty where none is."""
    for key, value in given.items():
        place, _, number = key.removesuffix(".weight").rpartition(".")
        is_projection = value.dim() == 4 and value.shape[-1] == 1 and value.shape[0] != value.shape[1]
        is_first = not any(other.startswith(f"{place}.") and other < key for other in given)
        if is_projection and is_first and number.isdigit() and number != "0":
            return key
    return ""


def _shortcuts_first(wanted: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The same as in a program whose blocks have their projection before their layers; shapes tell the two apart."""
    blocks: dict[str, list[str]] = defaultdict(list)
    for key in wanted:
        block = blocks[".".join(key.split(".")[:2])]
        block.insert(sum(".downsample." in other for other in block) if ".downsample." in key else len(block), key)
    return {key: wanted[key] for block in blocks.values() for key in block}


def _of_unknown_names(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """What to do where neither names nor order tell the layers; empty where most have names that are known."""
    unknown = [key for key in given if _name(key) not in wanted]
    if len(unknown) < len(wanted) / 2:
        return ""
    why = "of other shapes, or not in the order of the numbers in their names"
    if list(given) == sorted(given):
        why = "in the order of the alphabet, as safetensors has them"
    begin, end = list(wanted)[:2], list(wanted)[-2:]
    return (
        f"; layers of other names ({', '.join(unknown[:3])}, ...) "
        f"are known by their order alone; these are {why}: save "
        "them by torch.save(net.state_dict(), FILE) from the network that they are of, which keeps the order, or name "
        f"them {', '.join(begin)}, ..., {', '.join(end)}"
    )


def _by_numbers(given: Mapping[str, Tensor], leaves: Sequence[str]) -> Mapping[str, Tensor]:
    """The same in the order of the numbers in their names, the classifier last; as given where words differ too.

    For words, as of a block's convolution and its normalisation, have no order.
    """
    heads = {key.rpartition(".")[0] for key, value in given.items() if value.dim() == 2}
    alike: dict[str, set[str]] = defaultdict(set)
    for layer in {key.rpartition(".")[0] for key in given} - heads:
        for step in re.finditer(r"[^.]+", layer):
            alike[layer[: step.start()]].add(_COUNTING.sub("#", step[0]))
    if any(len(words) > 1 for words in alike.values()):
        return given

    def place(key: str) -> tuple[bool, list[int], int]:
        layer, _, leaf = key.rpartition(".")
        return layer in heads, _counts(layer), leaves.index(leaf)

    return {key: given[key] for key in sorted(given, key=place)}


def _counts(layer: str) -> list[int]:
    return [int(word) if word.isdigit() else ord(word) for word in _COUNTING.findall(layer)]


def _counts_up(layers: Iterable[str]) -> bool:
    """Whether names that differ in numbers, or in single letters, alone are in the order of these."""
    last: dict[str, list[int]] = {}
    for layer in layers:
        found, alike = _counts(layer), _COUNTING.sub("#", layer)
        if found < last.get(alike, []):
            return False
        last[alike] = found
    return True


def known_as(weights: Weights) -> list[str]:
    """The networks of the paper whose convolutions, but for the first, have these shapes."""
    shapes = [tuple(tensor.shape) for tensor in weights.tensors.values() if tensor.dim() == 4]
    small = sum(shape[-1] == 1 for shape in shapes)
    n, rest = divmod(len(shapes) - small - 1, 6)
    option = {0: "", 2: "-B", 3 * n: "-C"}.get(small)
    if n and not rest and option is not None and _has(shapes, f"resnet-{6 * n + 2}{option}", "cifar"):
        return [f"resnet-{6 * n + 2}{option}", *([] if option else [f"plain-{6 * n + 2}"])]
    possible = [f"resnet-{depth}-{option}" for depth in names.IMAGENET_DEPTHS for option in "ABC"]
    fitting = [names.parse(name, "imagenet") for name in possible if _has(shapes, name, "imagenet")]
    twins = [replace(name, kind="plain", option=None) for name in fitting if name.option == "A"]
    return [_said(name) for name in (*fitting, *twins)]


def seeming(found: Sequence[Weights]) -> str:
    """What a file's weights are of by their shapes, in words."""
    return " or ".join(next(filter(None, map(known_as, found)), ["net unknown here"]))


def _said(name: NetworkName) -> str:
    return f"{name} of ImageNet's family" if name.family == "imagenet" else str(name)


def _has(shapes: Sequence[tuple[int, ...]], network: str, family: names.Family) -> bool:
    # The first layer, which alone sees the channels of an image, may be for other images.
    inner = [sorted(found, key=lambda shape: shape[1])[1:] for found in (_shapes_of(network, family), shapes)]
    return sorted(inner[0]) == sorted(inner[1])


@cache
def _shapes_of(network: str, family: names.Family) -> list[tuple[int, ...]]:
    """Of its convolutions."""
    with torch.device("meta"):
        net = build(network, family=family)
    return [tuple(value.shape) for value in net.state_dict().values() if value.dim() == 4]


def normalisations(weights: Weights) -> list[tuple[list[float], list[float]]]:
    """Each mean and standard deviation per channel of images that a file keeps beside the layers."""
    channels = next(tensor.shape[1] for tensor in weights.tensors.values() if tensor.dim() == 4)
    found = []
    for pattern in (_MEAN, _STD):
        kept = {**weights.tensors, **weights.beside}
        values = {tuple(value.flatten().tolist()) for key, value in kept.items() if pattern.match(key)}
        found.append([list(value) for value in values if len(value) == channels])
    return list(product(found[0], found[1]))


def in_unit_scale(mean: Sequence[float], std: Sequence[float], channels: int) -> tuple[Tensor, Tensor, bool]:
    """A normalisation for pixels in [0, 1], (channels, 1, 1) each, and whether it was given for those of 0 to 255.

    Raises:
        UserError: it can be of neither.
    """
    unit = 255 if max(mean) > 1 else 1
    is_one = 0 <= min(mean) <= max(mean) <= unit and (min(std) >= 1 if unit == 255 else 0 < min(std) <= max(std) <= 1)
    if not len(mean) == len(std) == channels or not is_one:
        raise UserError(
            f"--mean and --std need {channels} numbers each for these images, of --std above 0, and both for pixels of "
            "0 to 1, or both for pixels of 0 to 255"
        )
    first, second = (torch.tensor([value / unit for value in values])[:, None, None] for values in (mean, std))
    return first, second, unit == 255


def set_option_a(net: nn.Module, zeros: str) -> bool:
    """Put option A's zero channels on "both" sides of the others or at the "end"; whether the net has any."""
    padded = [module for module in net.modules() if isinstance(module, ZeroPadded)]
    for module in padded:
        extra = module.before + module.after
        module.before = extra // 2 if zeros == "both" else 0
        module.after = extra - module.before
    return bool(padded)
