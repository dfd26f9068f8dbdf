"""Names of networks: what they say, and what is said of those that are none. Layers and shapes: tests/models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UserError
from repro.names import CIFAR_DEPTHS, IMAGENET_DEPTHS, NetworkName, parse

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
    ("name", "family", "expected"),
    [
        ("plain-20", None, ("plain", 20, None, "cifar")),
        ("resnet-1202-C", None, ("resnet", 1202, "C", "cifar")),
        # 50 and 152 are 6n + 2 as well as depths of Table 1; 18, 34 and 101 are not.
        ("resnet-50", None, ("resnet", 50, "A", "cifar")),
        ("resnet-18", None, ("resnet", 18, "A", "imagenet")),
        ("resnet-34-B", None, ("resnet", 34, "B", "imagenet")),
        ("resnet-101", None, ("resnet", 101, "B", "imagenet")),
        ("resnet-50", "imagenet", ("resnet", 50, "B", "imagenet")),
        ("resnet-101-A", "imagenet", ("resnet", 101, "A", "imagenet")),
    ],
)
def test_what_a_name_says(name, family, expected):
    assert parse(name, family) == NetworkName(*expected)


@pytest.mark.parametrize(
    ("name", "family", "meant"),
    [
        ("resnet-57", None, "resnet-56"),
        ("resnet-20-D", None, "resnet-20"),
        ("resnet-38-b", "cifar", "resnet-38-B"),
        ("resnet56", None, "resnet-56"),
        ("ResNet_34", "cifar", "resnet-32"),
        ("resnet-５６", None, "resnet-56"),
        ("resnet-20", "imagenet", "resnet-18"),
        ("vgg", None, None),
    ],
)
def test_a_wrong_name_is_one_line_with_the_nearest_valid_one(name, family, meant):
    with pytest.raises(UserError) as caught:
        parse(name, family)
    message = str(caught.value)
    assert caught.value.status == 2 and "\n" not in message and repr(name) in message
    assert f"did you mean '{meant}'?" in message if meant else "there is plain-20" in message


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
