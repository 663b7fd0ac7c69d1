"""What tests of agents share."""

import pytest


@pytest.fixture
def no_film(monkeypatch):
    """Trainings within the test leave no film, which takes longer than they do."""
    monkeypatch.setattr("agents.training.train._film", lambda *_: None)
