# SPDX-License-Identifier: GPL-2.0
"""Try out the policy of mm/page_reporting_pacing.c without a kernel.

Exit status: 0 all well, 1 something failed or a mutation was missed, 2 for bad input.
"""

from .cli import arguments, main

__all__ = ("arguments", "main")
