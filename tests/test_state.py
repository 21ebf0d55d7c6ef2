"""Atomic fits: after a failure the estimator is what it was before."""

import pytest

from sklogit._state import restore_on_failure


class _Recorder:
    def __init__(self):
        self.parameter = "given"

    @restore_on_failure
    def fit(self, value, error=None, *, drop=False):
        """Docstring of fit."""
        self.value_ = value
        self.half_done_ = True
        if drop:
            del self.parameter
        if error is not None:
            raise error
        return self


def test_successful_method_keeps_what_it_set_and_returns_its_value():
    recorder = _Recorder()
    assert recorder.fit(1) is recorder
    assert vars(recorder) == {"parameter": "given", "value_": 1, "half_done_": True}


@pytest.mark.parametrize(
    "error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(1), MemoryError()]
)
def test_failed_first_fit_leaves_no_attribute_and_the_same_error(error):
    recorder = _Recorder()
    with pytest.raises(type(error)) as caught:
        recorder.fit(1, error)
    assert caught.value is error
    assert vars(recorder) == {"parameter": "given"}


def test_failed_refit_restores_changed_added_and_deleted_attributes():
    recorder = _Recorder().fit("old")
    del recorder.half_done_
    value = recorder.value_
    with pytest.raises(ValueError, match="bad"):
        recorder.fit("new", ValueError("bad"), drop=True)
    assert vars(recorder) == {"parameter": "given", "value_": "old"}
    assert recorder.value_ is value


def test_decorated_method_keeps_its_name_docstring_and_signature():
    assert _Recorder.fit.__name__ == "fit"
    assert _Recorder.fit.__doc__ == "Docstring of fit."
    with pytest.raises(TypeError, match="unexpected keyword"):
        _Recorder().fit(1, unknown=2)
