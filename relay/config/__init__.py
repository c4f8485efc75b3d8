"""The relay's settings: how their texts are parsed, the list of all, the configuration file, and the checked result.

Imports the packages below for the values that settings name (framings, slow policies). A `Config` that `configure`
returns is complete and consistent; everything that is wrong with a configuration is raised together, as `Faults`.
"""
