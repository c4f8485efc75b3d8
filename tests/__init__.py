"""Tests of the relay: a folder for each kind, and `kit` for what they share. `bash test.sh` runs them all."""

import os

from hypothesis import settings

# A machine that is busy with something else is no error, and a test that fails must fail again.
settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
