"""Tests of relay.feeds."""
