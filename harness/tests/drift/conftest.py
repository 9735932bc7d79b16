from __future__ import annotations

import pytest

from .documents import Drift, drift_in


@pytest.fixture(scope="session")
def drift(tmp_path_factory: pytest.TempPathFactory) -> Drift:
    return drift_in(tmp_path_factory.mktemp("drift"))
