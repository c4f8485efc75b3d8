"""Tests of relay.peers."""
