"""Tests of `relay.reach`."""
