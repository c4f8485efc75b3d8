"""How hypothesis runs its tests. Loaded with whatever has some, and not by the programs of the kit, which have none."""

import os

from hypothesis import settings

# A machine that is busy with something else is no error, and a test that fails must fail again.
settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
