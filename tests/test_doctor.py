"""What the doctor says of this machine is so, and what fails is named."""

import sys

import torch

from spatial_envs import doctor
from spatial_envs.foundation.caches import VARIABLE


def said(lines):
    return {found.what: found for found in lines}


def test_the_system_is_described(monkeypatch, tmp_path):
    (tmp_path / "a").write_bytes(bytes(3_000_000))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    found = said(doctor.system())
    assert found["cache"].said == f"{tmp_path}: 1 files, 3 MB of at most 2,000"
    assert "DISPLAY=:7" in found["display"].said
    assert found["device"].said == "the CPU: torch sees no GPU"
    assert sys.executable in found["Python"].said
    monkeypatch.setenv(VARIABLE, "not/absolute")
    assert said(doctor.system())["cache"].good is False


def test_what_is_absent_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(doctor, "is_here", lambda checkpoint: False)
    for there in (False, True):
        monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name, there=there: there or None)
        found = said(doctor.packages())
        for name, (use, remedy) in doctor.PACKAGES.items():
            assert found[name].good is (there or None)
            assert use in found[name].said
            assert (remedy in found[name].said) is not there
        assert ("weights" in found) is there
    assert found["weights"].good is False


def test_the_reason_for_the_backbone_is_given(monkeypatch):
    from spatial_envs.backbones import mapanything

    monkeypatch.setattr(mapanything, "is_installed", lambda: False)
    assert "'compact' here: there is no package mapanything" in doctor.chosen_backbone().said


def test_what_fails_in_the_self_test_is_named_and_counts(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "SECONDS", 0.0)
    good, bad = "SceneFit-Prototype-v0", "NBV-MapAnything-v0"
    monkeypatch.setattr(doctor, "TESTED", {good: doctor.TESTED[good], bad: {"num_objects": 1, "views": 1000}})
    assert doctor.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"+ {good}") and "steps per second" in line for line in lines)
    assert any(line.startswith(f"! {bad}") and "ValueError: views: got 1000" in line for line in lines)
    monkeypatch.setattr(doctor, "TESTED", {})
    assert doctor.main(["--no-test"]) == 0
