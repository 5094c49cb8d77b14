"""What several test files share: the golden models, which are tiny, official in layout and random in content."""
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "data" / "golden"


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """The config of a model that loads and speaks in no time: 24 kHz, as `english` but for its sizes. It can clone voices."""
    return GOLDEN / "tiny" / "config.yaml"
