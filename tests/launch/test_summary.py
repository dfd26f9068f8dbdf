"""What a command closes with."""

from __future__ import annotations

from planted import plant, run_of

from repro.launch.summary import finding

NETWORKS = ("plain-20", "plain-56", "resnet-20", "resnet-56")


def test_degradation_is_told_of_nets_of_one_seed(tmp_path):
    plan = [run_of(network, seed=seed) for seed in (0, 1) for network in NETWORKS]
    for seed, errors in enumerate([(1.0, 60.0, 1.5, 1.25), (2.0, 32.0, 3.0, 2.5)]):
        for network, error in zip(NETWORKS, errors, strict=True):
            if (network, seed) != ("plain-56", 0):
                plant(tmp_path, network, seed=seed, train_end=error)
    assert finding(plan, tmp_path) == (
        "36 more layers change the training error of the plain net by +30.00 points (2.00 % to 32.00 %), that of the "
        "residual net by -0.50 (3.00 % to 2.50 %)."
    )
    plant(tmp_path, "plain-56", train_end=60.0)
    assert "by +59.00 points (1.00 % to 60.00 %)" in finding(plan, tmp_path), "the first seed that has all"


def test_nothing_is_told_where_a_net_is_missing_or_not_at_its_end(tmp_path):
    plan = [run_of(network) for network in NETWORKS]
    for network in NETWORKS[:3]:
        plant(tmp_path, network)
    assert finding(plan, tmp_path) is None
    plant(tmp_path, "resnet-56", status="stopped")
    assert finding(plan, tmp_path) is None
