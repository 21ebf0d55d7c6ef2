"""Which modules are not collected where an optional dependency is missing."""

from importlib.util import find_spec

# Kernels are decorated when their module is imported.
collect_ignore = []
if find_spec("triton") is None:
    collect_ignore.append("sklogit/kernels/_triton_kernels.py")
