"""`python -m upstream_services.crm`."""

import sys

from upstream_services.crm.api import SERVICE
from upstream_services.kit.serve import run

if __name__ == "__main__":
    sys.exit(run(SERVICE))
