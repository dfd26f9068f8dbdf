"""A run as a value: back from its record as it was, told apart by its hash, its path where it belongs."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro import spec
from repro.checked import LARGEST
from repro.errors import UserError
from repro.records import RunFolder
from repro.spec import Images, Run, fields_of, override

#: More digits than Python writes, among others.
MONSTERS = [10**400, 0x10**5000, -(10**400), float("nan"), float("inf"), "x" * 100_000, b"\xff"]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates()
ANYTHING = st.recursive(
    # By their places: hypothesis writes out what it samples from.
    PLAIN | st.integers(0, len(MONSTERS) - 1).map(lambda place: MONSTERS[place]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def test_the_default_is_the_papers_protocol():
    """Section 4.2, and of ImageNet's family Section 3.4 and Figure 4, as noted down independently."""
    run = Run("resnet-56")
    assert (run.schedule.iterations, run.schedule.milestones, run.schedule.lr) == (64_000, (0.5, 0.75), 0.1)
    assert (run.optimiser.batch_size, run.optimiser.momentum, run.optimiser.weight_decay) == (128, 0.9, 0.0001)
    assert str(run.path) == "cifar10/paper/resnet-56/seed-0"
    # Section 3.4 and Figure 4.
    run = spec.PAPER["imagenet"]
    assert (run.schedule.iterations, run.optimiser.batch_size, run.schedule.lr) == (600_000, 256, 0.1)
    assert [share * run.schedule.iterations for share in run.schedule.milestones] == [150_000, 300_000]
    assert (run.model.stem, run.model.width, run.model.stride_on_3x3) == ("7x7", 64, False)


OTHER = {
    "network": "plain-56",
    "data": "digits",
    "preset": "short",
    "seed": 1,
    "variant": "x",
    "log_every": 10,
    "evaluate_every": 2000,
    "schedule.iterations": 64_001,
    "schedule.milestones": [0.5],
    "schedule.lr": 0.2,
    "schedule.factor": 0.2,
    "schedule.plateau": [5, 0.5],
    "schedule.warm_up": "on",
    "schedule.warm_up_lr": 0.02,
    "schedule.warm_up_until": 70.0,
    "optimiser.batch_size": 64,
    "optimiser.momentum": 0.8,
    "optimiser.momentum_form": "torch",
    "optimiser.nesterov": True,
    "optimiser.weight_decay": 0.0,
    "optimiser.decay": "weights",
    "images.held_out": 5000,
    "images.evaluate_on": "held-out",
    "images.normalise": "pixel-mean-std",
    "images.augment": False,
    "images.padding": "before-mean",
    "model.initialisation": "fan-out",
    "model.subsample": "average",
    "model.block": "one-layer",
    "model.norm_shares": 2,
    "family": "imagenet",
}
#: Of networks of Table 1.
OTHER_OF_TABLE_1 = {"model.stem": "3x3", "model.width": 16, "model.stride_on_3x3": True}
#: Of photographs.
CROPPED = {"images.crop": 32, "images.shorter_side": [40, 60]}
OTHER_OF_PHOTOGRAPHS = {
    "images.crop": 16,
    "images.shorter_side": [32, 33],
    "images.resample": "bicubic",
    "images.colour": "deviations",
    "images.colour_strength": 0.2,
}


#: Runs that depart from the paper's protocol in some settings, at any rate, in any seed.
RUNS = st.builds(
    lambda keys, own: override(Run("resnet-56", images=Images(held_out=100)), {key: OTHER[key] for key in keys} | own),
    st.sets(st.sampled_from(sorted(OTHER.keys() - {"family"}))),
    st.fixed_dictionaries(
        {"schedule.lr": st.floats(0.01, 1e6), "seed": st.integers(0, LARGEST), "variant": st.text(max_size=120)}
    ),
)


@given(RUNS)
def test_a_run_comes_back_from_json_as_it_was(run):
    again = Run.from_dict(json.loads(json.dumps(run.to_dict())))
    assert again == run
    assert again.hash == run.hash
    assert again.path == run.path
    assert run.differences(again) == []


def test_every_single_field_changes_the_hash_and_is_named_as_a_difference():
    assert OTHER.keys() | OTHER_OF_TABLE_1.keys() | OTHER_OF_PHOTOGRAPHS.keys() == fields_of(Run("plain-20")).keys()
    usual = override(Run("resnet-56"), {"images.held_out": 100})
    of_table_1 = override(usual, {"family": "imagenet"})
    cropped = override(Run("resnet-56"), CROPPED)
    for base, changes in ((usual, OTHER), (of_table_1, OTHER_OF_TABLE_1), (cropped, OTHER_OF_PHOTOGRAPHS)):
        hashes = {base.hash}
        for key, value in changes.items():
            other = override(base, {key: value})
            assert [text.partition(":")[0] for text in base.differences(other)] == [key]
            hashes.add(other.hash)
        assert len(hashes) == len(changes) + 1


def test_a_setting_of_the_other_family_is_no_setting():
    for key, value in OTHER_OF_TABLE_1.items():
        with pytest.raises(UserError, match=f"{key} is of Table 1's networks: resnet-56 is one of Section 4.2"):
            override(Run("resnet-56"), {key: value})
    with pytest.raises(UserError, match=r"model\.block is 'one-layer', which Table 1's networks do not have"):
        override(Run("resnet-50", family="imagenet"), {"model.block": "one-layer"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images.shorter_side": [40, 60]}, "images.shorter_side is of photographs"),
        ({"images.normalise": "channel-mean"}, "which is of photographs"),
        ({"images.crop": 32}, "images.shorter_side is []: lowest and highest are needed"),
        (CROPPED | {"images.shorter_side": [31, 60]}, "both from images.crop (32) on"),
        (CROPPED | {"images.shorter_side": [60, 40]}, "lowest and highest are needed"),
        (CROPPED | {"images.held_out": 10}, "are of small images"),
    ],
)
def test_settings_of_photographs_and_of_small_images_do_not_mix(changes, said):
    with pytest.raises(UserError, match=re.escape(said)):
        override(Run("resnet-56"), changes)


def test_the_hash_is_of_what_departs_from_the_defaults_alone():
    run = override(Run("plain-20", seed=3), {"schedule.iterations": 8000, "optimiser.nesterov": True})
    text = '{"network":"plain-20","optimiser.nesterov":true,"schedule.iterations":8000,"seed":3}'
    assert run.hash == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_record_without_a_field_takes_its_default():
    values = Run("plain-20").to_dict()
    del values["schedule"]["warm_up"], values["model"]
    assert Run.from_dict(values) == Run("plain-20")


def test_minus_zero_and_zero_are_one_run():
    runs = [override(Run("plain-20"), {"optimiser.weight_decay": value}) for value in (0.0, -0.0, 0)]
    assert len({run.hash for run in runs}) == 1
    assert runs[0] == runs[1] == runs[2]


#: Places outside, names that a system gives a meaning, and one that is too long.
NAMES = ["..", ".", "/", "/etc/passwd", "../../x", "a/../../b", "a\\b", "a\x00b", "\n"]
NAMES += ["CON", "~", "~root", "-rf", "a" * 400]
TEXTS = st.text(max_size=300) | st.sampled_from(NAMES)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
@settings(max_examples=150)
def test_the_path_stays_below_the_results_folder_whatever_the_texts(network, data, preset, variant):
    run = Run(network=network, data=data, preset=preset, variant=variant)
    assert len(run.path.parts) == 4
    assert not run.path.is_absolute()
    for part in run.path.parts:
        assert part not in (".", "..")
        assert not set(part) & set('/\\:*?"<>| ')
        assert part.isascii() and part.isprintable()
        assert not part.startswith((".", "-", "~root"))
        assert 0 < len(part) <= 255
    root = Path("/results")
    assert RunFolder(root, run).path.resolve().is_relative_to(root)


@given(TEXTS, TEXTS)
def test_other_variants_lie_in_other_folders(one, other):
    same = Run("plain-20", variant=one).path == Run("plain-20", variant=other).path
    assert same == (one == other)


@given(st.sampled_from([*fields_of(Run("plain-20"))]), ANYTHING)
@settings(max_examples=200)
def test_a_setting_of_any_value_is_taken_or_refused_in_a_line(key, value):
    try:
        run = override(Run("plain-20"), {key: value})
    except UserError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
    else:
        assert Run.from_dict(json.loads(json.dumps(run.to_dict()))) == run


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("schedule.iterations", 0, "1 or more"),
        ("schedule.iterations", 4000.0, "a whole number is needed"),
        ("schedule.milestones", [0.75, 0.5], "rising fractions"),
        ("schedule.milestones", 0.5, "a list is needed"),
        ("schedule.lr", -0.1, "schedule.lr is -0.1: 0 or more"),
        ("schedule.factor", 0, "schedule.factor is 0: more than 0"),
        ("schedule.factor", 1e-200, "comes to a rate of 0.0"),
        ("schedule.plateau", [5], "epochs and points are needed"),
        ("schedule.plateau", [0, 0.5], "epochs and points are needed"),
        ("schedule.warm_up", "of", "did you mean 'off'?"),
        ("model.norm_shares", 3, "the first must be a multiple of the second"),
        ("optimiser.batch_size", 9 * 10**15, "65,536 or less"),
        ("optimiser.momentum", 1, "less than 1"),
        ("optimiser.nesterov", 1, "true or false"),
        ("images.evaluate_on", "held-out", "hold some out"),
        ("seed", -1, "0 or more"),
        ("log_every", 300, "must be a multiple"),
        ("schedul.iterations", 5, "did you mean 'schedule.iterations'?"),
        ("", 5, "unknown setting ''"),
    ],
)
def test_what_is_wrong_with_a_setting_is_said(key, value, said):
    with pytest.raises(UserError, match=said.replace("?", r"\?").replace(".", r"\.")):
        override(Run("plain-20"), {key: value})


def test_settings_that_belong_together_are_taken_in_any_order():
    changes = {"log_every": 300, "evaluate_every": 600, "images.evaluate_on": "held-out", "images.held_out": 10}
    expected = Run("plain-20", log_every=300, evaluate_every=600, images=Images(held_out=10, evaluate_on="held-out"))
    assert override(Run("plain-20"), changes) == override(Run("plain-20"), dict(reversed(changes.items()))) == expected
