"""Real parts for every suite: see `tests/parts/plugin.py`, `tests/parts/profiles.py`."""

from hypothesis import settings

pytest_plugins = ["tests.parts.plugin", "tests.parts.profiles"]

# A shared machine is slow at times: a property is judged by its truth; `timeout` in pyproject.toml catches a hang.
settings.register_profile("voile", deadline=None)
settings.load_profile("voile")
