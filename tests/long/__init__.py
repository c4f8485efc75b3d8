"""What takes long: installing, the fuzzer, the soak, and two minutes of slow and silent peers."""
