"""One run, as a straight line, and who drives it: a scenario file, a caller, a worker process."""
