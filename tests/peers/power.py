#!/usr/bin/env python3
"""The power goes, again and again, under `appendfsync always`: every acknowledged write is on the disk that is left.

  power.py [--cuts 30] [--seed N] HOLDFAST [directive=value ...]

The server's folder is an ext4 file system on a loop device, whose file lies on a disk of this script (FUSE): what was not flushed when the power
goes survives whole, not at all, or each block by chance. Each cut is a copy of that disk, taken while 32 clients write and logs are rewritten;
it is mounted, a second server is started on it, and every counter must be what its client was told last, or one more. Needs root, loop devices,
mkfs.ext4, fusermount and Python's fusepy.
"""
import argparse
import errno
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import peers

DISK_BYTES = 96 << 20
CLIENTS = 32


def serve_disk(folder, seed):
    """The disk: `img`, and `cut`, to which the kind of a cut and the name of the copy are written."""
    import fuse

    dice, flushed, now, unflushed = random.Random(seed), bytearray(DISK_BYTES), bytearray(DISK_BYTES), []

    def cut(kind, name):
        copy = bytearray(flushed)
        for at, data in unflushed:
            for i in range(0, len(data), 4096):
                if kind == "all" or kind == "some" and dice.random() < 0.5:
                    piece = data[i:i + 4096]
                    copy[at + i:at + i + len(piece)] = piece
        Path(name).write_bytes(copy)

    class Disk(fuse.Operations):
        def getattr(self, path, fh=None):
            sizes = {"/img": DISK_BYTES, "/cut": 0}
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            if path not in sizes:
                raise fuse.FuseOSError(errno.ENOENT)
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": sizes[path]}

        def readdir(self, path, fh):
            return [".", "..", "img", "cut"]

        def read(self, path, size, offset, fh):
            return bytes(now[offset:offset + size])

        def write(self, path, data, offset, fh):
            if path == "/cut":
                cut(*data.decode().split(" ", 1))
                return len(data)
            now[offset:offset + len(data)] = data
            unflushed.append((offset, bytes(data)))
            return len(data)

        def fsync(self, path, datasync, fh):
            for at, data in unflushed:
                flushed[at:at + len(data)] = data
            unflushed.clear()
            return 0

    fuse.FUSE(Disk(), folder, foreground=True, nothreads=True, big_writes=True)


def run(*words):
    return subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True).stdout.strip()


def server(holdfast, root, more):
    port = peers.free_port()
    lines = ['save ""', "appendonly yes", "appendfsync always", "allow-plaintext local", "tls-port 0", "bind 127.0.0.1", f"port {port}", *more]
    return peers.Process(root, "data", [holdfast, "server"], lines, port)


class Writer(threading.Thread):
    def __init__(self, port, name):
        super().__init__(daemon=True)
        self.port, self.name, self.sent, self.acknowledged = port, name, 0, 0

    def run(self):
        client, dice = peers.Client(self.port), random.Random(self.name)
        try:
            while True:
                self.sent += 1
                count, _ = client.many([("INCR", self.name), ("SET", f"pad:{self.name}", b"x" * dice.choice((1, 50, 300, 2000)))])
                self.acknowledged = count
        except (OSError, ConnectionError):
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("holdfast")
    parser.add_argument("more", nargs="*")
    parser.add_argument("--cuts", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--disk", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.disk:
        return serve_disk(a.disk, a.seed)
    try:
        import fuse  # noqa: F401
    except (ImportError, OSError) as e:
        peers.skip(f"no fusepy: {e}")
    if not all(map(shutil.which, ("losetup", "mkfs.ext4", "fusermount"))) or not Path("/dev/fuse").exists():
        peers.skip("losetup, mkfs.ext4, fusermount and /dev/fuse are needed")
    more, dice = [m.replace("=", " ", 1) for m in a.more], random.Random(a.seed)
    print(f"seed {a.seed}", flush=True)
    root = Path(tempfile.mkdtemp(prefix="holdfast-power-"))
    below, above, left = root / "below", root / "above", root / "left"
    for folder in (below, above, left):
        folder.mkdir()
    disk = subprocess.Popen([sys.executable, __file__, a.holdfast, "--seed", str(a.seed), "--disk", str(below)])
    undo = [["fusermount", "-u", below]]
    bad = brought = 0
    try:
        peers.wait_for("the disk", (below / "img").exists)
        loop = run("losetup", "-f", "--show", below / "img")
        undo.insert(0, ["losetup", "-d", loop])
        run("mkfs.ext4", "-q", "-E", "nodiscard", loop)
        run("mount", "-o", "nodiscard", loop, above)
        undo.insert(0, ["umount", above])
        first = server(a.holdfast, above, more)
        run("sync", "-f", above)
        writers = [Writer(first.port, f"w{n}") for n in range(CLIENTS)]
        for w in writers:
            w.start()
        for n in range(a.cuts):
            time.sleep(dice.uniform(0.05, 1.2))
            if n % 7 == 3:
                peers.Client(first.port)("BGREWRITEAOF")
                time.sleep(dice.uniform(0, 0.3))
            kind, copy = ("some", "none", "all", "some")[n % 4], root / f"copy{n}"
            told = [w.acknowledged for w in writers]
            with open(below / "cut", "r+b", buffering=0) as f:
                f.write(f"{kind} {copy}".encode())
            asked = [w.sent for w in writers]
            other = run("losetup", "-f", "--show", copy)
            try:
                run("mount", other, left)
                second = server(a.holdfast, left, more)
                found = [int(v or 0) for v in peers.Client(second.port).many([("GET", w.name) for w in writers])]
                log = second.log.read_text(errors="replace")
                second.kill()
                lost = [(w.name, t, f) for w, t, f in zip(writers, told, found) if f < t]
                never = [(w.name, s, f) for w, s, f in zip(writers, asked, found) if f > s]
                back = "were brought back from the doublewrite buffer" in log
                brought, bad = brought + back, bad + bool(lost or never)
                print(f"cut {n} ({kind}): {sum(told)} acknowledged, {sum(found)} found{', some of them in the buffer alone' if back else ''}"
                      f"{f', LOST {lost}' if lost else ''}{f', NEVER SENT {never}' if never else ''}", flush=True)
            finally:
                subprocess.run(["umount", left], check=False)
                subprocess.run(["losetup", "-d", other], check=False)
                copy.unlink()
    finally:
        peers.end_all()
        for words in undo:
            subprocess.run([str(w) for w in words], check=False)
        disk.wait(20)
        shutil.rmtree(root, ignore_errors=True)
    print(f"{a.cuts} cuts, {bad} of them lost something; {brought} needed the buffer")
    sys.exit(bool(bad))


main()
