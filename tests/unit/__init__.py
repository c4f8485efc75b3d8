"""A folder for each package of the relay, a file for each module: no process is started."""

import tests.kit.profiles  # noqa: F401  # for trial; pytest has it from conftest.py
