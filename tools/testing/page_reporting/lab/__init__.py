# SPDX-License-Identifier: GPL-2.0
"""The lab: guests that boot under QEMU, watched from the host."""
