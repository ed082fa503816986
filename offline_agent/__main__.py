"""`python -m offline_agent` is the command line."""

import sys

from offline_agent.cli import main

sys.exit(main())
