"""Whether a SQLite database lies where several machines see it: its write-ahead log does not work there."""

from __future__ import annotations

from pathlib import Path

import psutil

from harness.store.database import sqlite_file

NETWORK = {
    "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "orangefs",
    "panfs", "pvfs2", "smb2", "smb3", "smbfs", "sshfs", "virtiofs", "wekafs",
}  # fmt: skip
OBJECTS = {"gcsfuse", "goofys", "juicefs", "mount-s3", "rclone", "s3fs"}


def network_warning(url: str) -> str | None:
    """What to do where the database's file lies on a network file system; None where all is well.

    SQLite's write-ahead log needs memory that all its processes share (https://www.sqlite.org/wal.html), and locks
    that many network file systems do not keep. Raises StoreError for what is no URL.
    """
    path = sqlite_file(url)
    kind = None if path is None else file_system(path)
    if kind is None or kind not in NETWORK | OBJECTS:
        return None
    return (
        f"{path} lies on a network file system ({kind}), where SQLite can lose what several machines write: keep it "
        "on a local disk (--db sqlite:////local/results.db; harness db merge pools two machines'), or use a "
        "PostgreSQL server (--db postgresql://...)"
    )


def file_system(path: Path) -> str | None:
    """The kind of file system that holds a path, as the system's mount table names it; None where it names none.

    A kind that is mounted through FUSE is named without `fuse.`.
    """
    found, length = None, -1
    for mount in psutil.disk_partitions(all=True):
        depth = len(Path(mount.mountpoint).parts)
        if depth >= length and path.is_relative_to(mount.mountpoint):  # what is mounted later hides what was
            found, length = mount.fstype, depth
    return found.lower().removeprefix("fuse.") if found else None
