"""PPO of Ray RLlib, two workers, each with our batched environment: python -m agents.examples.rllib_ppo

With anchor="first_view" a zero action takes the first view again: the untrained agent gains little; it learns
to go round the object. Needs pip install "ray[rllib]".
"""

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import FlattenObservations

NUM_STEPS = 256  # between two updates


def main(steps: int = 2048, seed: int = 0) -> tuple[float, float]:
    """Train, and return the mean return of 32 episodes without exploration before and after."""
    task = {
        "backbone": "unproject", "observations": ["features", "poses"], "anchor": "first_view",
        "num_objects": 2, "views": 3, "image_size": 56,
    }  # fmt: skip
    config = (
        PPOConfig()
        .environment("spatial_envs:NBV-MapAnything-v0", env_config=task)
        .env_runners(
            num_env_runners=2,
            num_envs_per_env_runner=8,
            gym_env_vectorize_mode="vector_entry_point",
            env_to_module_connector=lambda *args, **kwargs: FlattenObservations(),
        )
        .learners(num_learners=0)
        .training(
            train_batch_size_per_learner=NUM_STEPS, minibatch_size=64, num_epochs=8, lr=2e-3, gamma=0.5,
            lambda_=0.9, vf_loss_coeff=1.0, use_kl_loss=False,
        )
        .evaluation(
            evaluation_interval=steps // NUM_STEPS, evaluation_duration=32,
            evaluation_config={"explore": False},
        )
        .debugging(seed=seed)
    )  # fmt: skip
    algorithm = config.build_algo()
    before = algorithm.evaluate()["env_runners"]["episode_return_mean"]
    for update in range(1, steps // NUM_STEPS + 1):
        results = algorithm.train()
        print(f"{update * NUM_STEPS:6,} steps, return {results['env_runners']['episode_return_mean']:.3f}")
    after = results["evaluation"]["env_runners"]["episode_return_mean"]
    algorithm.stop()
    print(f"mean return {before:.3f} before, {after:.3f} after")
    return before, after


if __name__ == "__main__":
    main()
