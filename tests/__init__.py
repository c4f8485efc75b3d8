"""Tests of the relay: a folder for each kind, and `kit` for what they share. `bash test.sh` runs them all."""
