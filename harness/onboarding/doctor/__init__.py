"""`harness doctor` tests here which parts of a stack description work against the running stack."""
