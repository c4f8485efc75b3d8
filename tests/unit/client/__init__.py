"""Tests of relay.client."""
