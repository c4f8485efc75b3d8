"""Shows in a terminal what a relay does, according to its web port."""
