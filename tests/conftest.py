"""Real parts for every suite: see `tests/parts/plugin.py`."""

pytest_plugins = ["tests.parts.plugin"]
