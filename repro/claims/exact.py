"""Claims that are counted or computed, not measured: H12, H17, H23 and H24. No chance is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from repro import paper
from repro.claims.verdict import Judgement, Link, chain
from repro.measure.complexity import Complexity, complexity, figure_5, vgg

#: "Similar" blocks (H24) differ by less than this share.
SIMILAR = 0.1
#: Steps for which the net of H17 is trained, and images of each.
STEPS, IMAGES = 3, 16
#: Times that are called "doubled" (H24).
DOUBLED = (1.8, 2.2)


def h12(cost: Callable[[str], Complexity] = complexity) -> Judgement:
    """Table 6's numbers of parameters, and that a plain net has as many as the residual one."""
    ours = paper.table(6).query("network != ''")
    printed = dict(zip(ours["network"], ours["params"], strict=True))
    return chain([*(_rounds_to(network, text, cost) for network, text in printed.items()), _twins(printed, cost)])


def _rounds_to(network: str, text: str, cost: Callable[[str], Complexity]) -> Link:
    digits = len(text.rstrip("M").partition(".")[2])
    count = cost(network).parameters
    ours = f"{count / 1e6:.{digits}f}M"
    return _counted(f"{network} has {text} parameters", ours == text, f"{network}: {count:,}, printed {text}.")


def _twins(networks: Iterable[str], cost: Callable[[str], Complexity]) -> Link:
    odd = [name for name in networks if cost(name.replace("resnet", "plain")).parameters != cost(name).parameters]
    text = (
        f"Not so at {', '.join(odd)}."
        if odd
        else "Each plain net has exactly as many as the residual net of its depth."
    )
    return _counted("plain and residual nets have equally many", not odd, text)


def h23(others: Mapping[int, int] | None = None) -> Judgement:
    """Multiply-adds of resnet-152 below those of VGG-16 and VGG-19."""
    ours = complexity("resnet-152", "imagenet").macs
    theirs = others or {16: vgg(16).macs, 19: vgg(19).macs}
    return chain(
        _counted(
            f"resnet-152 < VGG-{depth} in multiply-adds",
            ours < macs,
            f"resnet-152 takes {ours / 1e9:.1f} billion multiply-adds, VGG-{depth} {macs / 1e9:.1f} billion.",
        )
        for depth, macs in theirs.items()
    )


def h24(blocks: Mapping[str, Complexity] | None = None) -> Judgement:
    """The blocks of Figure 5: alike in cost, and the bottleneck doubled by a projection."""
    costs = blocks or figure_5()
    basic, bottleneck, projected = (costs[name] for name in ("basic", "bottleneck", "projected bottleneck"))
    apart = abs(bottleneck.macs / basic.macs - 1)
    times = (projected.macs / bottleneck.macs, projected.parameters / bottleneck.parameters)
    return chain(
        [
            _counted(
                "the blocks of Figure 5 cost about the same",
                apart < SIMILAR,
                f"The bottleneck block takes {bottleneck.macs:,} multiply-adds, the basic one {basic.macs:,}: "
                f"{100 * apart:.1f} % apart.",
            ),
            _counted(
                "a projection doubles the bottleneck block",
                all(DOUBLED[0] <= ratio <= DOUBLED[1] for ratio in times),
                f"A projection makes it {times[0]:.2f} times as costly and {times[1]:.2f} times as large.",
            ),
        ]
    )


def h17(zeroed: bool = True) -> Judgement:
    """A trained residual net, and the same with blocks of zero weights after those of each stage: equal outputs.

    Args:
        zeroed: whether the added blocks' weights are zero.
    """
    import torch  # judging needs it for this claim alone, and takes a second to import it

    from repro import data
    from repro.data.dataset import Dataset
    from repro.models import build

    dataset = data.load("digits")
    assert isinstance(dataset, Dataset)
    images, tested = (each.double() / 255 - 0.5 for each in (dataset.train_images, dataset.test_images))
    labels = dataset.train_labels
    nets = [build(name, 1, generator=torch.Generator().manual_seed(0)).double() for name in ("resnet-8", "resnet-14")]
    shallow, deep = nets
    optimiser = torch.optim.SGD(shallow.parameters(), lr=0.1, momentum=0.9)
    for first in range(0, STEPS * IMAGES, IMAGES):
        batch = slice(first, first + IMAGES)
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(shallow(images[batch]), labels[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for key, value in deep.named_parameters():
        if zeroed and key not in dict(shallow.named_parameters()):
            torch.nn.init.zeros_(value)
    with torch.no_grad():
        ours, theirs = (net.eval()(tested[: 4 * IMAGES]) for net in nets)
    apart = float((ours - theirs).abs().max())
    text = (
        f"resnet-8 after {STEPS} steps on digits, and a resnet-14 made of it: of {ours.numel():,} outputs the largest "
        f"difference is {apart:.1g}."
    )
    return chain([_counted("blocks of zero weights leave the outputs as they are", apart == 0, text)])


def _counted(statement: str, true: bool, text: str) -> Link:
    return Link(statement, "holds" if true else "contradicted", text)


#: The claims that need no runs.
EXACT: dict[str, Callable[[], Judgement]] = {"H12": h12, "H17": h17, "H23": h23, "H24": h24}
