"""What tests share: fakes, peers, a relay as a process, and programs that run beside it. No test is in here."""
