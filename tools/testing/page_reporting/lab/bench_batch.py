# SPDX-License-Identifier: GPL-2.0
"""Runs of the bench that go on at the same time, each in a thread; they end together."""

import concurrent.futures
import threading


class Guests:
    """The guests of a batch: once one of its runs has failed, or the user has interrupted, all of
    them are stopped, and no other one starts."""

    def __init__(self):
        self._lock, self._guests, self._closed = threading.Lock(), [], False

    def add(self, vm):
        """Take in a guest that is about to start: the guest itself."""
        with self._lock:
            if self._closed:
                raise concurrent.futures.CancelledError
            self._guests.append(vm)
        return vm

    def close(self):
        """Stop all guests; their runs fail."""
        with self._lock:
            self._closed = True
            guests = list(self._guests)
        for vm in guests:
            vm.stop()


def run(calls, guests):
    """The results of `calls`, in their order; the first failure ends all of them."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        except BaseException:
            guests.close()
            raise
    return [future.result() for future in futures]
