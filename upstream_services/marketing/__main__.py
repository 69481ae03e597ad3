"""`python -m upstream_services.marketing`."""

import sys

from upstream_services.kit.serve import run
from upstream_services.marketing.api import SERVICE

if __name__ == "__main__":
    sys.exit(run(SERVICE))
