from __future__ import annotations

from pathlib import Path

import pytest

from .made import Drift, drift_in


@pytest.fixture
def drift(tmp_path: Path) -> Drift:
    return drift_in(tmp_path)
