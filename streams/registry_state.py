"""What the records of `registry.v1` amount to, and what publishing a registry would change."""

import logging
from dataclasses import dataclass

from pydantic import ValidationError

from schemas.flow import SiteRecord
from schemas.registry import Registry, Site, Tenant

log = logging.getLogger(__name__)

TENANT_PREFIX = "tenant/"
SITE_PREFIX = "site/"


def revision_of(timestamp_ms: int, offset: int) -> int:
    """Return the revision of a record: later records have higher ones, in every log of the registry.

    Offsets alone would begin at 0 again when a broker that keeps nothing is restarted, and a site would then keep the
    configuration of the log before.

    Examples
    --------
    >>> revision_of(1_790_000_000_000, 7) < revision_of(1_790_000_000_000, 8) < revision_of(1_790_000_000_001, 0)
    True
    """
    return timestamp_ms * 1_000 + offset % 1_000


class RegistryState:
    """What the records of the topic amount to.

    Attributes
    ----------
    tenants, sites
        What is registered, by id.
    unreadable
        Keys whose newest record makes no sense, and why; what was known before stays.
    version
        Increases with every change.

    Examples
    --------
    >>> state = RegistryState()
    >>> state.take(b"tenant/demo", b'{"id": "demo", "name": "Demo"}', 0), state.version
    (True, 1)
    >>> state.take(b"tenant/demo", None, 1), state.tenants, state.version
    (True, {}, 2)
    """

    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.sites: dict[str, SiteRecord] = {}
        self.unreadable: dict[str, str] = {}
        self.version = 0

    @property
    def keys(self) -> frozenset[str]:
        """The keys the topic holds a record for, the unreadable ones included."""
        tenants = {TENANT_PREFIX + tenant for tenant in self.tenants}
        sites = {SITE_PREFIX + site for site in self.sites}
        return frozenset(tenants | sites | set(self.unreadable))

    def take(self, key: bytes | None, value: bytes | None, revision: int) -> bool:
        """Take one record; one that makes no sense is logged and skipped.

        Parameters
        ----------
        key, value
            The record; no value deletes.
        revision
            Its place in time, as `revision_of` says.

        Returns
        -------
        bool
            Whether anything changed.
        """
        try:
            name = (key or b"").decode()
        except UnicodeDecodeError:
            log.warning("registry_record_skipped", extra={"revision": revision, "why": "the key is not UTF-8"})
            return False
        self.unreadable.pop(name, None)
        changed = self._remove(name) if value is None else self._accept(name, value, revision)
        self.version += changed
        return changed

    def _remove(self, key: str) -> bool:
        kind, _, entry = key.partition("/")
        if kind == "site":
            return self.sites.pop(entry, None) is not None
        return kind == "tenant" and self.tenants.pop(entry, None) is not None

    def _accept(self, key: str, value: bytes, revision: int) -> bool:
        kind, _, entry = key.partition("/")
        try:
            self._put(kind, entry, value, revision)
        except ValueError as invalid:
            why = _why(invalid)
            self.unreadable[key] = why
            log.warning("registry_record_skipped", extra={"key": key, "revision": revision, "why": why})
            return False
        return True

    def _put(self, kind: str, entry: str, value: bytes, revision: int) -> None:
        if kind == "tenant":
            tenant = Tenant.model_validate_json(value)
            _same_id(tenant.id, entry)
            self.tenants[entry] = tenant
        elif kind == "site":
            site = Site.model_validate_json(value)
            _same_id(site.id, entry)
            self.sites[entry] = SiteRecord(site, revision)
        else:
            raise ValueError("the key is neither tenant/<id> nor site/<id>")


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference between the topic and the files, as record keys.

    Parameters
    ----------
    added, changed, unchanged
        Records of the files, by what the topic held before.
    deleted
        Records no longer in the files, for which tombstones are written.
    kept
        Records no longer in the files that stay, because nothing is pruned.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def changes(state: RegistryState, registry: Registry, *, prune: bool) -> Changes:
    """Return what publishing the registry would do.

    Parameters
    ----------
    state
        What the topic holds.
    registry
        What it should hold.
    prune
        Whether records that are not in the registry are deleted.

    Examples
    --------
    >>> held = RegistryState()
    >>> _ = held.take(b"tenant/old", b'{"id": "old", "name": "Old"}', 0)
    >>> changes(held, Registry(tenants=(Tenant(id="new", name="New"),)), prune=True)
    Changes(added=('tenant/new',), changed=(), unchanged=(), deleted=('tenant/old',), kept=())
    """
    wanted = entries(registry)
    held: dict[str, Tenant | Site] = {TENANT_PREFIX + name: tenant for name, tenant in state.tenants.items()}
    held |= {SITE_PREFIX + name: record.site for name, record in state.sites.items()}
    here = [key for key in wanted if key in state.keys]
    same = [key for key in here if held.get(key) == wanted[key] and key not in state.unreadable]
    # Sites sort before tenants, so nobody reading along sees a site whose tenant is gone.
    stale = tuple(sorted(state.keys - wanted.keys()))
    return Changes(
        added=tuple(key for key in wanted if key not in state.keys),
        changed=tuple(key for key in here if key not in same),
        unchanged=tuple(same),
        deleted=stale if prune else (),
        kept=() if prune else stale,
    )


def entries(registry: Registry) -> dict[str, Tenant | Site]:
    """Return the records of a registry by key: tenants first."""
    tenants: dict[str, Tenant | Site] = {TENANT_PREFIX + tenant.id: tenant for tenant in registry.tenants}
    return tenants | {SITE_PREFIX + site.id: site for site in registry.sites}


def _same_id(inside: str, key: str) -> None:
    if inside != key:
        raise ValueError(f"the record is of '{inside}'")


def _why(invalid: ValueError) -> str:
    if isinstance(invalid, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'record'}: {error['msg']}" for error in invalid.errors()
        )
    return str(invalid)
