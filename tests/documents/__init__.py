"""What is shipped beside the program: pages, examples, units and alerts say what is so."""
