"""Names of networks: what they say, and what is said of those that are none. Layers and shapes: tests/models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UserError
from repro.names import CIFAR_DEPTHS, CLASSES, IMAGENET_DEPTHS, default_option, parse

CIFAR = st.builds(
    lambda n, name: name.format(6 * n + 2),
    st.integers(1, 10_000),
    st.sampled_from(["plain-{}", "resnet-{}", "resnet-{}-A", "resnet-{}-B", "resnet-{}-C"]),
)


@given(CIFAR)
def test_a_name_is_taken_apart_and_put_together_again(name):
    parsed = parse(name, "cifar")
    assert parse(str(parsed), "cifar") == parsed
    assert str(parsed) == name.removesuffix("-A")
    assert 6 * parsed.blocks_per_stage + 2 == parsed.depth
    assert parsed.stages == (parsed.blocks_per_stage,) * 3
    assert not parsed.bottleneck


@pytest.mark.parametrize(
    ("name", "kind", "depth", "option", "family"),
    [
        ("plain-20", "plain", 20, None, "cifar"),
        ("resnet-20", "resnet", 20, "A", "cifar"),
        ("resnet-1202", "resnet", 1202, "A", "cifar"),
        ("resnet-56-C", "resnet", 56, "C", "cifar"),
        ("resnet-18", "resnet", 18, "A", "imagenet"),
        ("plain-34", "plain", 34, None, "imagenet"),
        ("resnet-34-B", "resnet", 34, "B", "imagenet"),
        ("resnet-101", "resnet", 101, "B", "imagenet"),
        ("resnet-50", "resnet", 50, "A", "cifar"),
    ],
)
def test_what_a_name_says(name, kind, depth, option, family):
    parsed = parse(name)
    assert (parsed.kind, parsed.depth, parsed.option, parsed.family) == (kind, depth, option, family)


def test_two_depths_are_of_both_families():
    assert [depth for depth in IMAGENET_DEPTHS if parse(f"resnet-{depth}").family == "cifar"] == [50, 152]
    assert parse("resnet-50", "imagenet").bottleneck
    assert parse("resnet-152", "imagenet").option == default_option(152, "imagenet") == "B"
    assert set(CLASSES) == {"cifar", "imagenet"}


@pytest.mark.parametrize(
    ("name", "family", "said"),
    [
        ("resnet-57", None, "6n + 2, did you mean 'resnet-56'?"),
        ("plain-21", None, "did you mean 'plain-20'?"),
        ("resnet-1200", None, "did you mean 'resnet-1202'?"),
        ("resnet-57-B", None, "did you mean 'resnet-56-B'?"),
        ("resnet-2", None, "did you mean 'resnet-8'?"),
        ("resnet-33", "imagenet", "did you mean 'resnet-34'?"),
        ("resnet-20-D", None, "the shortcut options are A, B, C, did you mean 'resnet-20'?"),
        ("resnet-20-b", None, "did you mean 'resnet-20-B'?"),
        ("plain-20-B", None, "a plain net has no shortcuts, did you mean 'plain-20'?"),
        ("resnet56", None, "did you mean 'resnet-56'?"),
        ("Resnet-56", None, "did you mean 'resnet-56'?"),
        ("resnet-056", None, "did you mean"),
        ("resnet-56\n", None, "did you mean 'resnet-56'?"),
        ("resnet-５６", None, "did you mean"),
        ("vgg", None, "unknown network 'vgg': there is plain-20"),
        ("", None, "unknown network '': there is plain-20"),
    ],
)
def test_what_is_no_network_and_what_might_have_been_meant(name, family, said):
    with pytest.raises(UserError) as caught:
        parse(name, family)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=300), st.sampled_from([None, "cifar", "imagenet"]))
def test_any_text_is_a_network_or_refused_in_a_line(name, family):
    try:
        parse(name, family)
    except UserError as error:
        assert "\n" not in str(error)


@given(st.integers(1, 999_999), st.sampled_from(["plain", "resnet"]), st.sampled_from(["cifar", "imagenet"]))
def test_the_network_that_is_suggested_exists(depth, kind, family):
    try:
        parse(f"{kind}-{depth}", family)
    except UserError as error:
        suggested = str(error).split("'")[-2]
        near = parse(suggested, family)
        known = CIFAR_DEPTHS if family == "cifar" else IMAGENET_DEPTHS
        assert near.kind == kind
        assert abs(near.depth - depth) <= min(abs(other - depth) for other in known)
