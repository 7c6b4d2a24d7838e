import random

import pytest

from mnasnet_cli.nets.spec import NETS, count_parameters, multiply_adds
from mnasnet_cli.searching.nets.space import LARGEST, SMALLEST, Genes, draw, genes_near, mutate, net_of


def test_a_draw_depends_on_the_seed_alone():
    first, again, other = (draw(random.Random(seed), [128, 160]) for seed in ("a", "a", "b"))
    assert first == again
    assert first != other


def test_the_smallest_and_the_largest_net_enclose_all_others():
    low, high = (multiply_adds(net_of(Genes(128, one), 1.0), 128) for one in (SMALLEST, LARGEST))
    generator = random.Random(0)
    for _ in range(20):
        assert low <= multiply_adds(net_of(draw(generator, [128]), 1.0), 128) <= high


def test_a_net_has_the_strides_of_the_paper_and_whole_channels():
    net = net_of(draw(random.Random(3), [128]), 0.43)
    assert [stage.stride for stage in net.stages] == [1, 2, 2, 2, 1, 2, 1]
    assert all(stage.channels % 8 == 0 for stage in net.stages)
    assert net.stages[0].expand == 1
    assert count_parameters(net, 10) > 0


def test_a_wider_net_is_never_smaller():
    genes = draw(random.Random(5), [128])
    costs = [multiply_adds(net_of(genes, width / 20), 128) for width in range(4, 40)]
    assert costs == sorted(costs)


def test_a_mutation_changes_one_to_three_choices():
    parent = draw(random.Random(1), [128, 160])
    for seed in range(30):
        child = mutate(random.Random(seed), parent, [128, 160])
        changed = sum(a != b for a, b in zip(parent.choices, child.choices, strict=True))
        changed += child.image_size != parent.image_size
        assert 1 <= changed <= 3


def test_a1_and_b1_are_in_the_space():
    for name in ("a1", "b1"):
        genes = genes_near(NETS[name], 128)
        assert genes is not None
        near, net = net_of(genes, 1.0), NETS[name]
        for mine, theirs in zip(near.stages, net.stages, strict=True):
            assert (mine.repeats, mine.kernel, mine.expand, mine.squeeze) == (
                theirs.repeats, theirs.kernel, theirs.expand, theirs.squeeze,
            )  # fmt: skip
        assert multiply_adds(near, 128) == pytest.approx(multiply_adds(net, 128), rel=0.1)


def test_nets_with_other_rows_have_no_draw_like_them():
    assert genes_near(NETS["d1"], 128) is None
