"""Tests of relay.net."""
