"""Names of directories and files: whatever an id holds, its path stays below the archive, and no two ids share one."""

import hashlib

# Upper case is escaped too: some file systems take "Mill" and "mill" for the same.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_LONGEST = 150  # most file systems allow 255 bytes for a name


def escaped(text: str) -> str:
    """Return a text as one harmless part of a path; different texts give different parts.

    Everything but lower-case letters, digits, `_` and `-` is percent-encoded, as readers of hive-style paths expect
    it. A part that would be too long is cut and ends in a hash of the whole.

    Examples
    --------
    >>> escaped("zj-steel"), escaped("../Etc"), escaped("纸厂")
    ('zj-steel', '%2E%2E%2F%45tc', '%E7%BA%B8%E5%8E%82')
    >>> len(escaped("/" * 1000)) < 200
    True
    """
    parts = [one if one in _PLAIN else "".join(f"%{byte:02X}" for byte in one.encode()) for one in text]
    whole = "".join(parts)
    if len(whole) <= _LONGEST:
        return whole
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    kept = ""
    for part in parts:
        if len(kept) + len(part) > _LONGEST - len(digest) - 1:
            break
        kept += part
    # No id is escaped to a text with a bare "~", so this cannot be the name of another one.
    return f"{kept}~{digest}"


def log_key(log_id: str) -> str:
    """Return a short name of a log for file names.

    Examples
    --------
    >>> log_key("WaGmRodYPC/test.") == log_key("WaGmRodYPC/test."), log_key("WaGmRodYPC/") != log_key("x/")
    (True, True)
    """
    return hashlib.blake2b(log_id.encode(), digest_size=6).hexdigest()


def partition_name(partition: int) -> str:
    """Return the name of a partition's directory.

    Examples
    --------
    >>> partition_name(5)
    'p0005'
    """
    return f"p{partition:04d}"
