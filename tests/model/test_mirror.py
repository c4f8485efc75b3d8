"""Mirrors of a relay that forgets, skips, loses its end and restarts: who reads at the mirror misses nothing."""

from __future__ import annotations

from hypothesis import settings

from tests.kit.mirror_machine import JournaledMirrorMachine, MirrorMachine

MirrorMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMirror = MirrorMachine.TestCase
JournaledMirrorMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMirrorWithJournal = JournaledMirrorMachine.TestCase
