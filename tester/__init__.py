"""Programs that you point at a relay."""
