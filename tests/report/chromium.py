"""Where a browser is, for the tests that look at pages."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
HOW = "no Chromium found: get it with `apt-get install chromium` to run tests/report/test_browser.py"
