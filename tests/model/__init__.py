"""Properties and state machines: any order of events against a model that is too simple to be wrong."""
