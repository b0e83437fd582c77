"""``python -m tests.vm``."""

import sys

from tests.vm.vm import main

sys.exit(main(sys.argv[1:]))
