"""Tests of relay.daemon."""
