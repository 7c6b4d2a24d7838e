from searched import make_plan

from mnasnet_cli.searching.nets.entrants import EntrantPool


class _FewFit:
    """Predicts 0.98 ms for one draw in 256, and 5 ms for all others."""

    reference_ms = None

    def __call__(self, spec, image_size):
        stages = spec.stages[1:]
        fits = all(stage.expand == 3 for stage in stages) and stages[0].kernel == stages[1].kernel == 3
        return 0.98 if fits else 5.0


def test_a_mutation_never_has_the_name_of_a_draw_where_few_nets_fit_a_limit():
    pool = EntrantPool(make_plan(), 1.0, _FewFit())
    drawn = pool.drawn(12)
    assert 0 < len(drawn) < int(max(drawn)[1:])  # some numbers are missing
    mutated = pool.mutated(12, drawn, {name: [0.5] for name in drawn})
    assert mutated
    assert not set(mutated) & set(drawn)
