"""The tester, its parts and its programs."""
