"""`nearfar`, with models that may be made slow: what SLOW_SECONDS says, a batch takes longer."""

import os
import time

from nearfar.cli.main import main

if __name__ == "__main__":
    if seconds := float(os.environ.get("SLOW_SECONDS", "0")):
        from nearfar.web.scorers.bundle import BundleScorer

        as_it_is = BundleScorer.top_k

        def slow(self, *arguments):
            time.sleep(seconds)
            return as_it_is(self, *arguments)

        BundleScorer.top_k = slow  # type: ignore[method-assign]
    main()
