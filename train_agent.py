"""Train an agent, watch it learn, and see where it stands.

    python train_agent.py --algo ppo
    python train_agent.py --algo sac --scenes path/to/meshes --set start=fixed views=3
    python train_agent.py --env PointNav-Habitat-v0 --warm-start nearest-frontier --backbone none
    python train_agent.py --env my_module:MyEnv-v0    # see agents/examples/new_family.py
    python train_agent.py --resume runs/NBV-MapAnything-v0-ppo-seed0

A run folder holds the model, its normalisation, the resolved configuration, checkpoints, TensorBoard logs,
evaluations.csv, curves.png, a film of one episode and the final table.
"""

from __future__ import annotations

import logging
import sys

from agents.progress import phase, watch_compilation

if __name__ == "__main__":
    try:
        with phase("loading"):  # PyTorch and what is built on it takes its time
            from agents.flags import parse_flags
            from agents.manual import environments
            from agents.training.config import Flags
            from agents.training.train import train

        logging.basicConfig(format="%(message)s")
        watch_compilation()
        train(parse_flags(Flags, __doc__, more=environments))
    except (ValueError, TypeError, OSError, ImportError) as error:
        sys.exit(f"train_agent.py: {error}")
    except KeyboardInterrupt:
        sys.exit("train_agent.py: interrupted")
