"""Speak chunks on the workers of a Dask cluster (`pip install 'pockettts[dask]'`). The results keep their order.

A chunk has the same samples on every worker and in every attempt. So if a worker dies or hangs, its chunks are given to other workers,
and the first result is used. Each worker reads the weights from its own cache. The client sends text and receives sound. Voices that are
files on the client are sent once to each worker.

Dask is pure Python and runs on x86-64 and ARM64. Workers can join at any time. Ray would add 70 MB of binaries to each machine for an
object store that is not needed here.
"""

import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from time import monotonic, sleep
from typing import Any, TypeVar

from .. import __version__, ops
from ..errors import OptionError, PocketTTSError
from .speaker import SENT, Order, Setup, Spoken, WorkerError

TRIES = 5  # how often a chunk is submitted if workers die or fail
BACKOFF = 0.2  # seconds to wait after an error, times the number of tries so far
AHEAD = 3  # submitted chunks per thread
FIRST_PATIENCE = 600.0  # seconds to wait for the first chunk: workers may have to download a model
PATIENCE = 60.0  # seconds to wait for later chunks, or SLOWNESS times the duration of the slowest chunk so far
SLOWNESS = 15.0  # AHEAD chunks share a thread, and each may take five times as long as the slowest one before
SUSPICION = 600.0  # seconds during which other workers are preferred to one that was late
RECONNECT = 600.0  # seconds to wait for a scheduler that restarts
CONNECT = 10.0  # seconds to wait for the first connection
FETCH_PATIENCE = 60.0  # seconds to fetch the sound of a chunk
WORKERS_AGE = 1.0  # seconds after which the list of workers is read again

T = TypeVar("T")
logger = logging.getLogger("pockettts")


@dataclass
class _Ticket:
    """An order, and the state of its submissions.

    Attributes:
        item: what `speak` yields with the result.
        order: None if there is nothing to speak.
        submitted: the time of the last submission, in seconds of `monotonic`.
        tries: the number of submissions.
        futures: the futures that are running, by key.
    """

    item: Any
    order: Order | None
    result: Spoken | PocketTTSError | None = None
    is_done: bool = False
    submitted: float = 0.0
    tries: int = 0
    futures: dict[str, Any] = field(default_factory=dict)


def check_scheduler(address: str) -> None:
    """Raise OptionError if the extra is not installed, or if there is no scheduler at this address."""
    _connected(address, CONNECT).close(timeout=2)


def _connected(address: str, timeout: float) -> Any:
    """A client of a scheduler. Raises OptionError."""
    if not find_spec("distributed"):
        raise OptionError("--dask needs a package that is not installed: pip install 'pockettts[dask]'")
    from distributed import Client
    from distributed.comm.addressing import resolve_address

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # errors are reported here
    logging.getLogger("tornado").setLevel(logging.CRITICAL)
    try:
        resolve_address(address)  # a client of an invalid address hangs when it is deleted
        return Client(address, timeout=timeout, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, ImportError, TimeoutError) as error:
        raise OptionError(
            f"--dask {address}: no scheduler there ({str(error)[:80] or type(error).__name__}): start one with `dask scheduler`"
        ) from None


class Cluster:
    """Speak orders on a Dask cluster. Implements `Backend`.

    Args:
        address: of the scheduler, such as tcp://host:8786.
        first_patience, patience: seconds after which a chunk is given to another worker as well.
        reconnect: seconds that the scheduler may be away.

    Raises:
        OptionError: the extra is not installed, or there is no scheduler at this address.
    """

    def __init__(
        self,
        setup: Setup,
        address: str,
        *,
        first_patience: float = FIRST_PATIENCE,
        patience: float = PATIENCE,
        reconnect: float = RECONNECT,
    ) -> None:
        self.setup, self._files = _portable(setup)
        self.address, self.reconnect = address, reconnect
        self.first_patience, self.patience = first_patience, patience
        self._slowest = 0.0  # seconds: the longest time that a chunk took so far
        self._suspects: dict[str, float] = {}  # workers that were late, and when
        self._unfit: set[str] = set()  # workers without this version of the package
        self._checked: set[str] = set()
        self._logged: set[str] = set()
        self._numbers = count()
        self._finished: Queue[tuple[_Ticket, str, Spoken | BaseException | None]] = Queue()
        # The time of the last query, and its result.
        self._cached_workers: tuple[float, dict[str, Any]] = (-WORKERS_AGE, {})
        self._client: Any = None
        self._connect(timeout=CONNECT)

    def speak(self, items: "Iterable[tuple[T, Order | None]]") -> "Iterator[tuple[T, Spoken | PocketTTSError | None]]":
        """See `Backend`."""
        source = iter(items)
        tickets: deque[_Ticket] = deque()
        is_over = False
        try:
            while tickets or not is_over:
                while (
                    not is_over
                    and sum(not ticket.is_done for ticket in tickets) < self._window()
                    and len(tickets) < 20 * self._window()
                ):
                    following = next(source, None)
                    if following is None:
                        is_over = True
                        break
                    ticket = _Ticket(*following, is_done=following[1] is None)
                    tickets.append(ticket)
                    self._submit(ticket)
                while tickets and tickets[0].is_done:
                    done = tickets.popleft()
                    yield done.item, done.result
                if tickets and not tickets[0].is_done:
                    self._wait(tickets)
        finally:
            self._close()

    # --- chunks --------------------------------------------------------------------------------------------------------------

    def _submit(self, ticket: _Ticket) -> None:
        """Submit an order, if possible to a worker that is not suspected to hang."""
        if ticket.is_done or ticket.order is None:
            return
        key = f"pockettts-{id(self)}-{next(self._numbers)}"
        suspects = {worker for worker, when in self._suspects.items() if monotonic() - when < SUSPICION}
        good = [worker for worker in self._workers() if worker not in suspects]
        is_limited = bool(suspects or self._unfit) and bool(good)
        where = {"workers": good, "allow_other_workers": not self._unfit} if is_limited else {}
        ticket.submitted, ticket.tries = monotonic(), ticket.tries + 1
        try:
            from .worker import speak_on_worker

            future = self._client.submit(
                speak_on_worker, self.setup, ticket.order, __version__, key=key, pure=False, retries=0, **where
            )
        except Exception:  # the scheduler is away: `_wait` will notice and reconnect
            return
        ticket.futures[key] = future
        future.add_done_callback(lambda done: self._start_fetch(ticket, key, done))

    def _start_fetch(self, ticket: _Ticket, key: str, future: Any) -> None:
        """Fetch a result in a separate thread, so that a worker that hangs does not block the results of the others."""
        Thread(target=self._fetch, args=(ticket, key, future), daemon=True).start()

    def _fetch(self, ticket: _Ticket, key: str, future: Any) -> None:
        """Put the result of a try into the queue: the sound, an error, or None if the cluster lost it."""
        result: Spoken | BaseException | None = None
        try:
            if future.status == "finished":  # the sound is still on the worker
                result = future.result(timeout=FETCH_PATIENCE)
            elif future.status == "error":
                result = future.exception()
        except BaseException as error:
            result = error
        self._finished.put((ticket, key, result))

    def _wait(self, tickets: "deque[_Ticket]") -> None:
        """Wait for one result and process it. If there is none within 0.2 seconds, check the connection and the late chunks."""
        try:
            ticket, key, result = self._finished.get(timeout=0.2)
        except Empty:
            if not self._is_connected():
                self._reconnect(tickets)
            self._resubmit_late(tickets)
            return
        if ticket.futures.pop(key, None) is None or ticket.is_done:
            return
        if isinstance(result, Spoken):
            self._accept(ticket, result)
        elif not self._is_connected():
            self._reconnect(tickets)
        else:
            self._try_again(ticket, result)

    def _accept(self, ticket: _Ticket, result: Spoken) -> None:
        """Keep the first result of an order, and cancel its other submissions."""
        ticket.result, ticket.is_done = result, True
        self._slowest = max(self._slowest, result.work)
        others, ticket.futures = ticket.futures, {}
        for other in others.values():
            other.release()

    def _try_again(self, ticket: _Ticket, reason: BaseException | None) -> None:
        """Submit an order again after an error, or give up after TRIES. reason: None if the cluster lost the result."""
        if ticket.futures:  # another worker has it
            return
        what = "its result was lost" if reason is None else str(reason).partition("\n")[0] or type(reason).__name__
        if reason is not None and ticket.tries >= TRIES:
            error = (
                reason
                if isinstance(reason, PocketTTSError)
                else PocketTTSError(f"no worker could speak a chunk: {what}")
            )
            ticket.result, ticket.is_done = error, True
            return
        assert ticket.order is not None
        if not isinstance(reason, WorkerError):  # `_check` reports these
            logger.warning("%.40r is given to a worker again: %.120s", ticket.order.chunk.text.strip(), what)
        if reason is not None:
            sleep(BACKOFF * ticket.tries)  # meanwhile `_check` may find that the worker is unfit
        self._submit(ticket)

    def _resubmit_late(self, tickets: "deque[_Ticket]") -> None:
        """Submit late chunks again, to other workers."""
        limit = max(self.patience, SLOWNESS * self._slowest) if self._slowest else self.first_patience
        late = [ticket for ticket in tickets if not ticket.is_done and monotonic() - ticket.submitted > limit]
        if not late:
            return
        if not self._workers():
            self._log_once(
                "no worker", f"{self.address} has no workers: waiting for them (`dask worker {self.address}`)"
            )
            return
        holders = self._holders(late)
        for ticket in late:
            if ticket.tries >= 3 * TRIES:
                ticket.result, ticket.is_done = (
                    PocketTTSError(f"no worker spoke a chunk within {limit:.0f} seconds"),
                    True,
                )
                continue
            for key in ticket.futures:
                if worker := holders.get(key):
                    if worker not in self._suspects:
                        logger.warning(
                            "the worker %s let a chunk wait for %d seconds: others get its chunks too", worker, limit
                        )
                    self._suspects[worker] = monotonic()
            self._submit(ticket)

    # --- the cluster ---------------------------------------------------------------------------------------------------------

    def _connect(self, timeout: float) -> None:
        self._client = _connected(self.address, timeout)
        if self._files:
            from .worker import VoicesPlugin

            self._client.register_plugin(VoicesPlugin(self._files), name="pockettts-voices")
        self._suspects.clear()
        self._checked.clear()
        if not self._workers():
            self._log_once(
                "no worker", f"{self.address} has no workers yet: waiting for them (`dask worker {self.address}`)"
            )

    def _reconnect(self, tickets: "deque[_Ticket]") -> None:
        """Wait for the scheduler, and submit unfinished chunks again."""
        self._log_once(f"away {next(self._numbers)}", f"the scheduler {self.address} is away: waiting for it")
        self._close()
        end = monotonic() + self.reconnect
        while True:
            try:
                self._connect(timeout=min(5.0, self.reconnect))
                break
            except OptionError:
                if monotonic() > end:
                    raise
        logger.warning("the scheduler %s is back", self.address)
        for ticket in tickets:
            if not ticket.is_done:
                ticket.futures = {}
                self._submit(ticket)

    def _is_connected(self) -> bool:
        return bool(self._client.status == "running" and self._client.scheduler is not None)

    def _workers(self) -> dict[str, Any]:
        """The workers by address, as the scheduler describes them. The list is at most WORKERS_AGE seconds old."""
        when, workers = self._cached_workers
        if monotonic() - when > WORKERS_AGE:
            self._cached_workers = monotonic(), (workers := self._list_workers())
            for address in workers.keys() - self._checked:
                self._checked.add(address)
                Thread(target=self._check, args=(address,), daemon=True).start()
        return {address: worker for address, worker in workers.items() if address not in self._unfit}

    def _check(self, address: str) -> None:
        """Exclude a worker that can't speak. Since it would fail fast, it would get most of the chunks."""
        from .worker import build_of_worker, fault_of_worker

        try:
            build = self._call(address, build_of_worker, f"{__version__} {ops.ISA}")
            version, _, isa = build.partition(" ") if isinstance(build, str) else (build, "", "")
            if version == __version__:
                fault = self._call(address, fault_of_worker, "", str(self.setup.model))
            else:
                what = f"it has pockettts {version}" if isinstance(version, str) else f"{version}"[:80]
                fault = f"{what}; this is pockettts {__version__}"
        except Exception:  # it is gone
            return
        if fault:
            logger.warning("the worker %s is not used: %s", address, fault)
            self._unfit.add(address)
        elif isa != ops.ISA:
            self._log_once(
                f"isa {isa}",
                f"the worker {address} has the {isa} kernels and this machine {ops.ISA}: its sound differs in the last bits; "
                "with the same POCKETTTS_ISA everywhere, the files have the same bytes",
            )

    def _call(self, address: str, function: Callable[..., str], default: str, *given: str) -> Any:
        """Call a function on a worker. Returns its result or its exception, or the default if the worker is gone."""
        return self._client.run(function, *given, workers=[address], on_error="return").get(address, default)

    def _list_workers(self) -> dict[str, Any]:
        try:
            return dict(self._client.scheduler_info(n_workers=-1)["workers"])
        except TypeError:  # before 2025.4
            return dict(self._client.scheduler_info()["workers"])
        except Exception:
            return {}

    def _holders(self, tickets: "Iterable[_Ticket]") -> dict[str, str]:
        """The worker of each running future, by key: it speaks the chunk or holds its result."""
        futures = [future for ticket in tickets for future in ticket.futures.values()]
        holders: dict[str, str] = {}
        try:
            holders |= {str(key): workers[0] for key, workers in self._client.who_has(futures).items() if workers}
            holders |= {str(key): worker for worker, keys in self._client.processing().items() for key in keys}
        except Exception:
            logger.debug("the scheduler did not list the holders of chunks", exc_info=True)
        return holders

    def _window(self) -> int:
        """The number of unfinished chunks to have submitted."""
        threads = sum(int(worker.get("nthreads", 1)) for worker in self._workers().values())
        return max(4, AHEAD * threads)

    def _log_once(self, what: str, message: str) -> None:
        """Log a warning once, without delay."""
        if what not in self._logged:
            self._logged.add(what)
            logger.warning("%s", message)

    def _close(self) -> None:
        try:
            self._client.close(timeout=2)
        except Exception:  # of a scheduler that is away
            logger.debug("the client did not close", exc_info=True)


def _portable(setup: Setup) -> tuple[Setup, dict[str, bytes]]:
    """A setup for other machines, and the content of its voice files by name.

    The name of a voice file is a hash of its content. The path of a config is absolute, since workers run in other folders.
    """
    files: dict[str, bytes] = {}
    voices = {}
    for name, source in setup.voices.items():
        if os.path.isfile(source):
            content = Path(source).read_bytes()
            place = f"{hashlib.sha256(content).hexdigest()[:32]}{Path(source).suffix}"
            files[place] = content
            voices[name] = SENT + place
        else:
            voices[name] = source
    model = setup.model
    if isinstance(model, str) and os.path.isfile(model):
        model = os.path.abspath(model)
    return replace(setup, model=model, voices=voices), files
