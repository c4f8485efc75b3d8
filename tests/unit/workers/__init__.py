"""Tests of `relay.workers`."""
