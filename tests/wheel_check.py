"""Run by .ci/run with the wheel, outside the checkout: every id steps, and nothing else came along."""

from importlib.metadata import files

import gymnasium as gym

import spatial_envs

assert "site-packages" in spatial_envs.__file__, spatial_envs.__file__
packed = [str(file) for file in files("spatial-envs") or []]
tops = {name.split("/")[0] for name in packed if ".dist-info" not in name}
assert tops == {"spatial_envs"}, tops
assert "spatial_envs/py.typed" in packed
for name in ("unproject.json", "compact.json", "compact.safetensors", "compact.md"):
    assert f"spatial_envs/backbones/{name}" in packed, name
for name in ("encoder.safetensors", "encoder.md"):
    assert f"spatial_envs/prototypes/{name}" in packed, name

FEW = {"NBV": {"num_objects": 1}, "SceneFit": {"num_frames": 1}, "VideoFit": {"num_videos": 1}}
FEW["Foresight"] = {"num_objects": 1}
ours = [name for name, spec in gym.registry.items() if str(spec.entry_point).startswith("spatial_envs.")]
assert ours
for name in ours:
    env = gym.make(name, **FEW.get(name.split("-")[0], {"num_buildings": 1}))
    env.reset(seed=0)
    steps, over = 0, False
    while not over:
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        steps, over = steps + 1, terminated or truncated
    print(f"{name}: {steps} steps from the wheel")
