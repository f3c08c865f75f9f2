"""`python -m harness.proxy serve`."""

import sys

from harness.proxy.command import main

sys.exit(main())
