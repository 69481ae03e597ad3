"""`python -m upstream_services.hr`."""

import sys

from upstream_services.hr.api import SERVICE
from upstream_services.kit.serve import run

if __name__ == "__main__":
    sys.exit(run(SERVICE))
