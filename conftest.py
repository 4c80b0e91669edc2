"""Collection of doctests: the training package needs PyTorch, which is an extra."""

import importlib.util

NEED_TORCH = ["accel/train", "reports/maintain/zoo.py", "reports/workflow/recipes.py"]
collect_ignore = [] if importlib.util.find_spec("torch") else NEED_TORCH
collect_ignore += ["accel/interchange/data/make_digits.py"]  # needs scikit-learn, once, to repack the embedded images
