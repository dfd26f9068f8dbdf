import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.train.randomness import generator, order


@settings(max_examples=30, deadline=None)
@given(images=st.integers(1, 60), batch=st.integers(1, 50), seed=st.integers(0, 5))
def test_every_image_is_seen_once_an_epoch(images, batch, seed):
    draw = order(seed, images)
    epochs = 3
    seen = torch.cat([draw(i, batch) for i in range(-(-epochs * images // batch))])
    for epoch in range(epochs):
        assert sorted(seen[epoch * images : (epoch + 1) * images].tolist()) == list(range(images))


def test_the_order_is_a_function_of_seed_and_iteration_alone():
    forward = [order(3, 1437)(i, 128) for i in range(40)]
    fresh = order(3, 1437)
    for i in (39, 0, 17):
        assert torch.equal(fresh(i, 128), forward[i])
    assert not torch.equal(order(4, 1437)(0, 128), forward[0])


def test_purposes_seeds_and_numbers_give_streams_of_their_own():
    keys = [("order", 0, 0), ("augment", 0, 0), ("order", 1, 0), ("order", 0, 1)]
    draws = [tuple(torch.randint(0, 2**31, (4,), generator=generator(*key)).tolist()) for key in keys]
    assert len(set(draws)) == len(draws)
    assert draws[0] == tuple(torch.randint(0, 2**31, (4,), generator=generator("order", 0, 0)).tolist())
