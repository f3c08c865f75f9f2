"""Kills the processes of runs at every moment, and looks at what they leave behind. Run it with `python -m`."""
