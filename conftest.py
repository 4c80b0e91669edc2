"""Collection of doctests: the training package needs PyTorch, which is an extra."""

import importlib.util

NEED_TORCH = ["accel/train", "reports/make_zoo.py", "reports/recipes.py"]
collect_ignore = [] if importlib.util.find_spec("torch") else NEED_TORCH
collect_ignore += ["accel/interchange/make_digits.py"]  # needs scikit-learn, once, to repack the embedded images
collect_ignore_glob = ["docs/*.py"]  # they need MkDocs, and building the pages runs them
