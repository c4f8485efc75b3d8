"""Shows what a relay does, in a terminal, from what its web port tells."""
