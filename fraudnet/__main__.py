"""`python -m fraudnet` is `fraudnet`."""

import sys

from fraudnet.cli import main

sys.exit(main())
