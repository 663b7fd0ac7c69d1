"""Compare agents on the same unseen starts.

    python evaluate_agent.py --run pretrained/nbv-2
    python evaluate_agent.py --run runs/NBV-MapAnything-v0-ppo-seed0
    python evaluate_agent.py --run runs/ppo-seed0 runs/ppo-seed1 --episodes 64 --out table.md
    python evaluate_agent.py --agent my_module:MyAgent
    python evaluate_agent.py --env my_module:MyEnv-v0 --baselines all    # see agents/examples/new_family.py

An agent is a class with Stable-Baselines3's ``predict``; it is constructed with the environment.
"""

from __future__ import annotations

import logging
import sys

from agents.progress import phase, watch_compilation

if __name__ == "__main__":
    try:
        with phase("loading"):  # PyTorch and what is built on it takes its time
            from agents.comparison.compare import Flags, compare
            from agents.flags import parse_flags
            from agents.manual import baselines

        logging.basicConfig(format="%(message)s")
        watch_compilation()
        compare(parse_flags(Flags, __doc__, more=baselines))
    except (ValueError, TypeError, OSError, ImportError) as error:
        sys.exit(f"evaluate_agent.py: {error}")
    except KeyboardInterrupt:
        sys.exit("evaluate_agent.py: interrupted")
