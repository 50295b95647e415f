"""The runs themselves, as pytest items; `pytest --pyargs pytest_llamaburn.suites` finds them."""
