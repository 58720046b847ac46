"""A synthetic world goes from chance to most photos right."""

import pytest

from geoclip.train.settings import Optimizer, Schedule
from tests.helpers.train_world import scratch, town_data, trainer


@pytest.mark.slow
def test_it_learns_a_world_from_chance() -> None:
    data = town_data()
    module = scratch(optimizer=Optimizer(lr=1e-3), schedule=Schedule("cosine"), queue_size=64)
    fit = trainer(max_epochs=4, limit_val_batches=2)
    (before,) = fit.validate(module, datamodule=data, verbose=False)
    fit.fit(module, datamodule=data)
    after = fit.callback_metrics
    assert before["val/accuracy_200km"] < 0.15  # 1 town of 40 by chance
    assert after["val/accuracy_200km"] >= 0.6
    assert after["val/median_km"] < 100
    assert after["val/accuracy_2500km"] >= after["val/accuracy_750km"] >= after["val/accuracy_200km"]
