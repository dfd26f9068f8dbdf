"""What is said of a plan by its records and those of the reference."""

from planted import plant, run_of

from repro.launch.remarks import other_bits

NETWORKS = ("plain-20", "plain-56", "resnet-20", "resnet-56")


def test_another_number_of_threads_than_the_references_is_told(elsewhere):
    plan = [run_of(network) for network in NETWORKS]
    assert other_bits(plan, "cpu", 2) is None, "there is no reference"
    for network, device, threads in (("plain-20", "cpu", 1), ("plain-56", "cuda", 4), ("resnet-20", "cpu", 8)):
        numerics = {"device": device, "precision": "bf16", "threads": threads}
        plant(elsewhere / "results" / "reference", network, extra={"numerics": numerics})
    assert other_bits(plan[:1], "cpu", 1) is None
    assert other_bits(plan[:1], "cpu", 2) == "2 threads: other bits than the reference's 1 (--threads 1)"
    assert other_bits(plan[1:2], "cpu", 2) is None, "a GPU's bits are others in any case"
    assert "the reference's 1 or 8" in other_bits(plan, "cpu", 2)
    (elsewhere / "results/reference/cifar10/short/plain-20/seed-0/run.json").write_text("{")
    assert other_bits(plan[:1], "cpu", 2) is None
