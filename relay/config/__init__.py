"""What the relay can be told: how a text is understood, every setting once, the checked result, and the file.

Imports the packages below for the values that settings name (framings, slow policies). A `Config` that `configure` made
is complete and does not contradict itself; everything that is wrong with one is raised together, as `Faults`.
"""
