"""Work that a worker process would do, done in the process that asks."""

import threading
from concurrent.futures import Future


class Here:
    """In place of workers: does each job in a thread of this process, one at a time."""

    turn = threading.Lock()
    device = "cpu"
    stops = None  # an Event that ends jobs, too

    def take(self, running, waiting, most):
        return self if not running else None

    def is_set(self):
        return self.stopped.is_set() or (self.stops is not None and self.stops.is_set())

    def submit(self, job, hear):
        self.stopped = threading.Event()
        future = Future()
        self.thread = threading.Thread(target=self.work, args=(future, job, hear), daemon=True)
        self.thread.start()
        return future

    def work(self, future, job, hear):
        from cplab.engine.work import do

        with self.turn:
            try:
                future.set_result((do(job, hear, self), []))
            except BaseException as error:
                Here.stops = None  # of this job alone
                future.set_exception(error)

    def stop(self):
        self.stopped.set()
        self.thread.join()


def warm():
    """Start no worker."""
