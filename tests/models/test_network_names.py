from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro import names
from repro.errors import UserError


@pytest.mark.parametrize(
    ("name", "family", "kind", "depth", "option"),
    [
        ("plain-20", "cifar", "plain", 20, None),
        ("resnet-20", "cifar", "resnet", 20, "A"),
        ("resnet-1202-C", "cifar", "resnet", 1202, "C"),
        ("resnet-50", "cifar", "resnet", 50, "A"),
        ("resnet-34", "imagenet", "resnet", 34, "A"),
        ("resnet-50", "imagenet", "resnet", 50, "B"),
        ("plain-152", "imagenet", "plain", 152, None),
        ("resnet-101-A", "imagenet", "resnet", 101, "A"),
    ],
)
def test_a_name_is_taken_apart(name, family, kind, depth, option):
    assert names.parse(name, family) == names.NetworkName(kind, depth, option, family)


@pytest.mark.parametrize(
    ("name", "family"),
    # 50 and 152 are 6n + 2 as well as depths of Table 1; 18, 34 and 101 are not.
    [("resnet-18", "imagenet"), ("resnet-34", "imagenet"), ("resnet-101", "imagenet"), ("resnet-50", "cifar")],
)
def test_the_family_follows_from_the_depth_unless_it_is_given(name, family):
    assert names.parse(name).family == family


@given(
    n=st.integers(1, 300),
    kind=st.sampled_from(["plain", "resnet"]),
    option=st.sampled_from(["", "-A", "-B", "-C"]),
)
def test_every_depth_6n_plus_2_is_a_network_of_cifar(n, kind, option):
    name = f"{kind}-{6 * n + 2}{option if kind == 'resnet' else ''}"
    parsed = names.parse(name, "cifar")
    assert parsed.stages == (n, n, n)
    assert 2 * sum(parsed.stages) + 2 == parsed.depth
    assert names.parse(str(parsed), "cifar") == parsed
    assert str(parsed) == name.removesuffix("-A")


@pytest.mark.parametrize("depth", names.IMAGENET_DEPTHS)
def test_the_stages_of_table_1_add_up_to_the_depth(depth):
    parsed = names.parse(f"resnet-{depth}", "imagenet")
    layers = 3 if depth in names.BOTTLENECK_DEPTHS else 2
    assert layers * sum(parsed.stages) + 2 == depth


@pytest.mark.parametrize(
    ("name", "family", "meant"),
    [
        ("resnet-21", "cifar", "resnet-20"),
        ("resnet-57-B", "cifar", "resnet-56-B"),
        ("resnet-1200", "cifar", "resnet-1202"),
        ("plain-2", "cifar", "plain-8"),
        ("resnet-18", "cifar", "resnet-20"),
        ("resnet-20", "imagenet", "resnet-18"),
        ("plain-100", "imagenet", "plain-101"),
        ("resnet-20-D", "cifar", "resnet-20"),
        ("resnet-38-b", "cifar", "resnet-38-B"),
        ("resnet-39-D", "cifar", "resnet-38"),
        ("plain-20-A", "cifar", "plain-20"),
        ("plain-57-B", "cifar", "plain-56"),
        ("resnet-020", "cifar", "resnet-20"),
        ("resnet56", "cifar", "resnet-56"),
        ("ResNet-56-C", "cifar", "resnet-56-C"),
        ("residual-110", "cifar", "plain-110|resnet-110"),
    ],
)
def test_a_wrong_name_is_one_line_with_the_nearest_valid_one(name, family, meant):
    with pytest.raises(UserError) as caught:
        names.parse(name, family)
    message = str(caught.value)
    assert caught.value.status == 2
    assert "\n" not in message and repr(name) in message
    (offered,) = re.findall(r"did you mean '([^']+)'", message)
    assert offered in meant.split("|")
    names.parse(offered, family)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("resnet-21", "6n + 2"), ("resnet-20-D", "A, B, C"), ("plain-20-A", "no shortcuts")],
)
def test_a_wrong_name_is_told_why(name, reason):
    with pytest.raises(UserError, match=re.escape(reason)):
        names.parse(name, "cifar")


@given(name=st.text(max_size=20), family=st.sampled_from(["cifar", "imagenet", None]))
def test_no_text_is_worse_than_a_user_error(name, family):
    try:
        parsed = names.parse(name, family)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert str(parsed).split("-")[:2] == name.split("-")[:2]


@pytest.mark.parametrize("name", ["resnet18", "resnet-18", "ResNet34", "resnet_50", "resnet101"])
def test_a_net_of_imagenet_is_told_from_those_of_cifar(name):
    with pytest.raises(UserError) as caught:
        names.parse(name, "cifar")
    message = str(caught.value)
    assert "ImageNet" in message and "6n + 2" in message and "\n" not in message
    assert all(str(depth) in message for depth in names.CIFAR_DEPTHS)
