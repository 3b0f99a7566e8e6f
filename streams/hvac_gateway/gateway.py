"""A gateway: it takes orders, keeps its book on disk before it touches the plant, and says what became of them.

It knows no Kafka. Leases end by themselves, whether the broker answers or not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from schemas.ack import Ack
from schemas.override import Override
from streams.hvac_gateway.book import Book
from streams.hvac_gateway.journal import Journal, JournalError
from streams.hvac_gateway.lease import Lease, Stage, Zones
from streams.hvac_gateway.orders import Order, Refused
from streams.hvac_gateway.plant import Plant, PlantError
from streams.metrics import METRICS

log = logging.getLogger(__name__)

Clock = Callable[[], int]  # [ms UTC]
AT_ONCE = 32  # zones whose devices are spoken to side by side
RETRY_MS = 15_000  # after which a plant that did not give back is asked again


class Gateway:
    """One gateway.

    Parameters
    ----------
    plant
        Where set-points are written.
    journal
        Where the book is kept; None keeps nothing: for `--dry-run`.
    clock
        The time.
    sites
        Ids of the sites it serves; empty for all.
    tell
        Called with every acknowledgement, beside the log.
    """

    def __init__(
        self,
        plant: Plant,
        journal: Journal | None,
        clock: Clock,
        *,
        sites: Iterable[str] = (),
        tell: Callable[[Ack], None] | None = None,
    ) -> None:
        self._plant = plant
        self._journal = journal
        self._clock = clock
        self._sites = frozenset(sites)
        self._tell = tell
        self._busy = asyncio.Lock()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._retry_at: dict[Lease, int] = {}
        self._unsent: list[Ack] = []
        self._on_disk = 0  # of them
        self.zones: Zones | None = None  # the registry; None until it is known
        self.turned_at = clock()
        kept = None if journal is None else journal.load()
        if kept is None or kept.book is None:
            self._book = Book(began_at=clock())
        else:
            self._book = Book.of_kept(kept.book)
            self._unsent = list(kept.unsent)
            self._on_disk = len(self._unsent)
            self._say(self._book.go_on(clock()))

    @property
    def unsent(self) -> tuple[Ack, ...]:
        """Acknowledgements to be sent, oldest first: those on disk, so that none is taken back by a kill."""
        return tuple(self._unsent[: self._on_disk])

    @property
    def leases(self) -> tuple[Lease, ...]:
        """What is, or may be, in the plant."""
        return self._book.leases

    async def take(self, orders: Sequence[Order]) -> None:
        """Take orders: overrides first, so that no command of the same poll gets ahead of an operator.

        Parameters
        ----------
        orders
            What arrived, in its order.

        Raises
        ------
        JournalError
            If the book cannot be kept.
        RuntimeError
            If the registry is not known yet.
        """
        if self.zones is None:
            raise RuntimeError("orders cannot be judged before the registry is known")
        async with self._busy:
            for order in sorted(orders, key=lambda one: not isinstance(one, Override)):
                if not self._sites or order.site_id in self._sites:
                    self._take(order, self.zones)
            await self._settle()

    async def turn(self) -> None:
        """End what is over. Call it about once a second.

        Raises
        ------
        JournalError
            If the book cannot be kept.
        """
        async with self._busy:
            self._book.close_due(self._clock(), self.zones)
            await self._settle()
            self.turned_at = self._clock()

    async def look(self) -> None:
        """See whether the plant still has what it was given. Call it about once a minute, beside `turn`.

        Raises
        ------
        JournalError
            If the book cannot be kept.
        """
        for lease in self.leases:
            if lease.stage is not Stage.HELD:
                continue
            try:
                shown = await self._plant.look(lease)
            except PlantError as error:
                log.warning("hvac_look_failed", extra={**_about(lease), "why": str(error)})
                continue
            async with self._busy:  # what was looked at may be over by now: the book knows
                self._say(self._book.seen(lease, shown, self._clock()))
                self._keep()

    async def stop(self) -> bool:
        """Give everything back, even if that cannot be kept; return whether the plant has taken it."""
        async with self._busy:
            self._book.close_all()
            self._retry_at.clear()
            try:
                await self._settle()
            except JournalError as error:
                log.error("hvac_state_not_kept", extra={"why": str(error)})
                await asyncio.gather(*(self._limited(self._give_back, lease) for lease in self._book.to_give_back()))
            for lease in self.leases:
                log.error("hvac_not_given_back", extra=_about(lease))
            return not self.leases

    def sent(self, acks: Sequence[Ack]) -> None:
        """Say that the broker has taken these, the oldest of `unsent`."""
        del self._unsent[: len(acks)]
        self._keep()

    def _take(self, order: Order, zones: Zones) -> None:
        now = self._clock()
        if isinstance(order, Refused):
            log.warning("hvac_order_refused", extra={"site_id": order.site_id, "why": order.why})
            METRICS.hvac_ignored_total.labels("invalid").inc()
            self._say([] if order.ack is None else [order.ack])
            return
        if self._book.predates(order):
            METRICS.hvac_ignored_total.labels("before_us").inc()
            return
        zone = zones(order.site_id, order.zone_id)
        if isinstance(order, Override):
            name, acks = order.id, self._book.take_override(order, zone, now)
        else:
            name, acks = order.command_id, self._book.take(order, zone, now)
        if not acks:
            log.info("hvac_order_seen_before", extra={"command_id": name})
            METRICS.hvac_ignored_total.labels("seen_before").inc()
        self._say(acks)

    async def _settle(self) -> None:
        """Make the plant what the book says, and keep the book before and after."""
        self._keep()
        for each, leases in ((self._write, self._book.to_write()), (self._give_back, self._due_back())):
            todo = list(leases)
            if todo:
                await asyncio.gather(*(self._limited(each, lease) for lease in todo))
                self._keep()
        for stage in Stage:
            METRICS.hvac_leases.labels(stage.value).set(sum(lease.stage is stage for lease in self.leases))

    def _due_back(self) -> Iterable[Lease]:
        now = self._clock()
        waiting = {lease: at for lease, at in self._retry_at.items() if at > now}
        self._retry_at = waiting
        return (lease for lease in self._book.to_give_back() if lease not in waiting)

    async def _limited(self, do: Callable[[Lease], Awaitable[None]], lease: Lease) -> None:
        async with self._at_once:
            await do(lease)

    async def _write(self, lease: Lease) -> None:
        try:
            shown = await self._plant.hold(lease)
        except PlantError as error:
            self._say(self._book.not_held(lease, str(error), self._clock()))
        else:
            self._say(self._book.held(lease, shown, self._clock()))

    async def _give_back(self, lease: Lease) -> None:
        try:
            shown = await self._plant.give_back(lease)
        except PlantError as error:
            self._retry_at[lease] = self._clock() + RETRY_MS
            log.warning("hvac_give_back_failed", extra={**_about(lease), "why": str(error)})
        else:
            self._say(self._book.gave_back(lease, shown, self._clock()))

    def _say(self, acks: Iterable[Ack]) -> None:
        for ack in acks:
            row = ack.row("")
            said = {name: row[name] for name in ("command_id", "state", "reason", "site_id", "zone_id")}
            log.info("hvac_acknowledged", extra={**said, "why": ack.message})
            METRICS.hvac_acks_total.labels(ack.state.value).inc()
            if self._journal is not None:
                self._unsent.append(ack)
            if self._tell is not None:
                self._tell(ack)

    def _keep(self) -> None:
        if self._journal is not None:
            self._journal.save(self._book.kept(), self._unsent)
            self._on_disk = len(self._unsent)


def _about(lease: Lease) -> dict[str, object]:
    return {
        "command_id": lease.command_id,
        "site_id": lease.site_id,
        "zone_id": lease.zone_id,
        "priority": lease.priority,
        "address": lease.points.address,
    }
