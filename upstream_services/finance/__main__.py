"""`python -m upstream_services.finance`."""

import sys

from upstream_services.finance.api import SERVICE
from upstream_services.kit.serve import run

if __name__ == "__main__":
    sys.exit(run(SERVICE))
