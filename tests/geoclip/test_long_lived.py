"""What is loaded is left out of collections, and what is not needed goes before."""

import gc

import pytest

from geoclip.long_lived import keep_loaded, kept_loaded


def test_rubbish_is_removed_before_the_rest_is_kept() -> None:
    gone = []

    class Ring:
        def __init__(self) -> None:
            self.own = self

        def __del__(self) -> None:
            gone.append(True)

    Ring()
    keep_loaded()
    assert gone == [True]


def test_what_was_made_before_is_left_out_until_the_end() -> None:
    frozen, before = gc.get_freeze_count(), [object()]
    with pytest.raises(ZeroDivisionError), kept_loaded():
        during = [object()]
        looked_at = gc.get_objects()
        assert any(each is during for each in looked_at)
        assert not any(each is before for each in looked_at)
        assert 1 / 0
    assert any(each is before for each in gc.get_objects())
    if frozen:
        gc.freeze()  # as tests begin
