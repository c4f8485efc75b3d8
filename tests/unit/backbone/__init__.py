"""Unit tests of `relay.backbone`."""
