"""What the tests of the watch share with those of the service."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "integration"))
