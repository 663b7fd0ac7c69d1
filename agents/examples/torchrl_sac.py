"""SAC of TorchRL on our batched environment: python -m agents.examples.torchrl_sac

With anchor="first_view" a zero action takes the first view again: the untrained agent gains little; it learns
to go round the object. Needs pip install torchrl.
"""

import gymnasium as gym
import torch
from gymnasium.wrappers.vector import FlattenObservation
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import EnvBase, ExplorationType, GymWrapper, set_exploration_type
from torchrl.modules import MLP, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import SACLoss, SoftUpdate

NUM_ENVS, NUM_STEPS, RANDOM_STEPS, BATCH = 8, 8, 256, 128


def evaluate(env: EnvBase, actor: nn.Module) -> float:
    """Mean return without exploration, from the same starts at each call."""
    env.set_seed(10_000)
    with set_exploration_type(ExplorationType.DETERMINISTIC), torch.no_grad():
        played = env.rollout(8, actor, break_when_any_done=False)["next"]
    return (played["reward"].sum() / played["done"].sum()).item()


def main(steps: int = 2048, seed: int = 0) -> tuple[float, float]:
    """Train, and return the mean return before and after."""
    torch.manual_seed(seed)
    envs = gym.make_vec(
        "spatial_envs:NBV-MapAnything-v0", NUM_ENVS, autoreset_mode="Disabled", backbone="unproject",
        observations=["features", "poses"], anchor="first_view", num_objects=2, views=3, image_size=56,
    )  # fmt: skip
    env = GymWrapper(FlattenObservation(envs))  # Disabled: TorchRL resets what has ended
    dims = env.action_spec.shape[-1]
    mean_and_scale = nn.Sequential(MLP(out_features=2 * dims, num_cells=[64, 64]), NormalParamExtractor())
    actor = ProbabilisticActor(
        TensorDictModule(mean_and_scale, ["observation"], ["loc", "scale"]), ["loc", "scale"],
        spec=env.action_spec_unbatched, distribution_class=TanhNormal,
    )  # fmt: skip
    critic = ValueOperator(MLP(out_features=1, num_cells=[64, 64]), in_keys=["observation", "action"])
    critic(actor(env.reset()))  # their first layers learn the sizes
    loss = SACLoss(actor, critic, alpha_init=0.05, action_spec=env.action_spec_unbatched)
    loss.make_value_estimator(gamma=0.5)
    target = SoftUpdate(loss, tau=0.01)
    optimizer = torch.optim.Adam(loss.parameters(), 1e-3)
    replay = TensorDictReplayBuffer(storage=LazyTensorStorage(steps), batch_size=BATCH)
    before = evaluate(env, actor)
    env.set_seed(seed)
    collector = Collector(
        env, actor, frames_per_batch=NUM_ENVS * NUM_STEPS, total_frames=steps,
        init_random_frames=RANDOM_STEPS, auto_register_policy_transforms=False,
    )  # fmt: skip
    for collected in collector:
        replay.extend(collected.reshape(-1))
        for _ in range(collected.numel()):
            losses = loss(replay.sample())
            sum(losses[name] for name in ("loss_actor", "loss_qvalue", "loss_alpha")).backward()
            optimizer.step()
            optimizer.zero_grad()
            target.step()
    after = evaluate(env, actor)
    print(f"mean return {before:.3f} before, {after:.3f} after")
    return before, after


if __name__ == "__main__":
    main()
