"""`python -m harness`: the command line without the script `harness`.

Any Python 3 can read this file, so that an old one says what is needed instead of a traceback.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is what it is for
    found = sys.version.split()[0] + " (" + sys.executable + ")"
    sys.exit(
        "harness: Python 3.11 or later is needed, and this is " + found + " - call a newer one by its name, such as "
        "python3.11, or name it for make: make install PYTHON=python3.11"
    )

from harness.cli import main

sys.exit(main())
