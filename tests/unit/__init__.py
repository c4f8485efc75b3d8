"""A folder for each package of the relay, a file for each module: no process is started."""
