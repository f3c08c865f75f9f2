"""The projects of the test data are other people's: nothing in them is collected."""

collect_ignore = ["projects", "golden"]
