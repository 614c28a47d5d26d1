"""``python -m pss_kernel.cli``: the ``pss`` command."""

from pss_kernel.cli._main import main

main()
