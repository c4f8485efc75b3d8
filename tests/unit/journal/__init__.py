"""Unit tests of `relay.journal`."""
