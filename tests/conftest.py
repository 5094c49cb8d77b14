"""What several test files share: the golden models, which are tiny, official in layout and random in content."""
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "data" / "golden"
SPEECH = Path(__file__).parent / "data" / "speech"          # 5 seconds of a woman and of a man, synthetic


@pytest.fixture(scope="session", autouse=True)
def assets(tmp_path_factory):
    """Packed weights and voices are kept for this run: not in the home of whoever runs the tests, nor for the next run."""
    from pockettts import hub

    folder = tmp_path_factory.mktemp("assets")
    with hub.assets_in(folder):
        yield folder


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """The config of a model that loads and speaks in no time: 24 kHz, as `english` but for its sizes. It can clone voices."""
    return GOLDEN / "tiny" / "config.yaml"
