"""Ray RLlib trains on our environments: remote workers, our batched environment, NEXT_STEP autoreset."""

import pytest

ray = pytest.importorskip(
    "ray", reason="needs ray[rllib], which pins gymnasium 1.2.2: the second environment"
)

from ray.rllib.algorithms.ppo import PPOConfig  # noqa: E402 (only where ray is there)
from ray.rllib.connectors.env_to_module import FlattenObservations  # noqa: E402

from agents.examples import rllib_ppo  # noqa: E402


@pytest.fixture
def cluster():
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    yield
    ray.shutdown()


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_ppo_trains_with_two_workers(cluster, mode):
    config = (
        PPOConfig()
        .environment(
            "spatial_envs:NBV-MapAnything-v0",
            env_config={
                "num_objects": 2,
                "image_size": 56,
                "views": 3,
                "observations": ["features", "poses", "view_mask", "anchor"],
            },
        )
        .env_runners(
            num_env_runners=2,
            num_envs_per_env_runner=2,
            gym_env_vectorize_mode=mode,
            env_to_module_connector=lambda *args, **kwargs: FlattenObservations(),
        )
        .training(train_batch_size_per_learner=64, minibatch_size=32, num_epochs=2)
        .learners(num_learners=0)
    )
    algorithm = config.build_algo()
    results = [algorithm.train() for _ in range(2)]
    sampled = results[-1]["env_runners"]
    assert sampled["num_env_steps_sampled_lifetime"] >= 128
    assert 0 < sampled["episode_return_mean"] < 5  # log-Chamfer gains of two views
    assert sampled["episode_len_mean"] == pytest.approx(2, abs=0.2)
    algorithm.stop()


def test_the_example_learns(cluster):
    before, after = rllib_ppo.main(steps=2048)
    assert after > before + 0.3
