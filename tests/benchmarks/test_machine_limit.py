"""What this machine can do at best: multiply matrices, and copy memory."""

import pytest
import torch

from repro.train.precision import best_precision, cores

SIZE = 2048
COPIED = 2**26  # float32 numbers: 256 MiB, many times any cache


@pytest.mark.parametrize("threads", sorted({1, cores()}))
@pytest.mark.parametrize("precision", sorted({"fp32", best_precision("cpu")}))  # emulated bf16 takes minutes
def test_matrix_product(benchmark, precision, threads):
    torch.set_num_threads(threads)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(SIZE, SIZE).to(kind), torch.randn(SIZE, SIZE).to(kind)
    out = torch.empty(SIZE, SIZE, dtype=kind)
    benchmark.extra_info.update(about="product", precision=precision, threads=threads, operations=2 * SIZE**3)
    benchmark.pedantic(torch.mm, args=(a, b), kwargs={"out": out}, rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("threads", sorted({1, cores()}))
def test_copy(benchmark, threads):
    torch.set_num_threads(threads)
    source, target = torch.ones(COPIED), torch.zeros(COPIED)
    benchmark.extra_info.update(about="copy", threads=threads, bytes=2 * 4 * COPIED)
    benchmark.pedantic(target.copy_, args=(source,), rounds=10, warmup_rounds=2)
    assert target[-1] == 1
