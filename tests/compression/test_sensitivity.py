"""What a rank does to the answers, against probabilities that are compared one by one."""

import numpy as np
import pytest
from scipy.special import expit, rel_entr

from fraudnet.compression.compress import spectra_of
from fraudnet.compression.factoring import approximated
from fraudnet.compression.ranks import ranks_to_try
from fraudnet.compression.sensitivity import TRIED, measured_damage
from fraudnet.training.scoring import predict_rows
from tests.compression.examples import Doubles, known
from tests.network.examples import SMALL, random_network


def test_damage_is_how_far_the_answers_are_from_those_of_the_whole_network() -> None:
    network, rows = random_network(SMALL, seed=3), known(30, seed=5)
    spectra = spectra_of(network, rows)["whitened"]
    found = measured_damage(network, spectra, rows, seed=0)

    def probability() -> Doubles:
        answers = predict_rows(network.logit, network.receptive_field, rows.histories, rows.rows)
        found: Doubles = expit(answers["logit"][:, 0].astype(np.float64))
        return found

    whole = probability()
    for name in ("stem", "block1_project"):
        for rank in ranks_to_try(spectra[name], TRIED):
            with approximated(network, spectra, {name: rank}):
                other = probability()
            each = rel_entr(whole, other) + rel_entr(1 - whole, 1 - other)
            assert found[name][rank] >= each.mean() * (1 - 1e-4) - 1e-9
            if rank == max(ranks_to_try(spectra[name], TRIED)):  # the others may not do less
                assert found[name][rank] == pytest.approx(each.mean(), rel=1e-3, abs=1e-8)
    assert found.keys() == {name for name, each in spectra.items() if each.cost.highest_rank}
