"""What takes long: the fuzzer, the soak, and two minutes of slow and silent peers."""
