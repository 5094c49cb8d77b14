"""A short run of scripts/soak.py: faults and disconnecting clients leave no resources behind."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parent.parent / "scripts" / "soak.py"


def test_soak():
    done = subprocess.run(
        [sys.executable, SOAK, "--requests", "40", "--clients", "8"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("as it must be\n")
