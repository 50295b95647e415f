"""The health of a visit is the worst of its steps."""

from __future__ import annotations

from pytest_llamaburn.load.step import StepHealth


def test_the_health_of_two_steps_is_the_worse_of_each_figure() -> None:
    first, second = StepHealth(0.2, 1.0, 9.0), StepHealth(0.1, 2.0, 3.0)
    assert first.worst(second) == second.worst(first) == StepHealth(0.2, 2.0, 9.0)


def test_what_no_step_measured_is_unknown_and_a_timer_that_fired_early_has_no_lag() -> None:
    assert StepHealth(0.2).worst(StepHealth(None, -0.04)) == StepHealth(0.2, 0.0, None)
