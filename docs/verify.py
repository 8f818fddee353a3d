#!/usr/bin/env python3
"""Verify a bundle that `agentidp ledger export` wrote, with nothing of ours.

    python3 verify.py BUNDLE [--against CHECKPOINT]...

Needs Python 3.11 and its standard library. It hashes every record, follows the
chain of every stream, compares every hash with the log's entries, and the Merkle
tree over them with every checkpoint in the bundle and every one that is given:
a signed checkpoint, or the file of checkpoints that the server keeps.
docs/ledger-format.md describes all of this.

What it leaves out: SIGNATURES (the standard library has no Ed25519; check those
of checkpoints with `agentidp ledger verify --key` or any tool for signed notes,
else a checkpoint is worth as much as the way it came by), and that records are
spelt the one way they may be. It holds all events in memory.

Exit code 0: intact. 1: broken, with what was done and where first. 2: it could
not be checked.
"""
import argparse, base64, gzip, hashlib, json, sys, tarfile
from collections import namedtuple
from datetime import datetime, timedelta

Event = namedtuple("Event", "hash id stream revision prev time")  # id None: bytes that are no record
Checkpoint = namedtuple("Checkpoint", "size root signed_at outside")
Break = namedtuple("Break", "index kind detail stream next")
Finding = namedtuple("Finding", "kind index detail")


class Unchecked(Exception):
    """The bundle proves nothing, neither way."""


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class Tree:
    """The right edge of a Merkle tree (RFC 6962 section 2.1)."""

    def __init__(self):
        self.size, self.edge = 0, []  # complete subtrees as (height, hash), largest first

    def append(self, entry):
        height, node = 0, sha256(b"\x00", entry)
        while self.edge and self.edge[-1][0] == height:
            node = sha256(b"\x01", self.edge.pop()[1], node)
            height += 1
        self.edge.append((height, node))
        self.size += 1

    def root(self):
        if not self.edge:
            return sha256()
        root = self.edge[-1][1]
        for _, left in reversed(self.edge[:-1]):
            root = sha256(b"\x01", left, root)
        return root


def agreement(entries, checkpoints):
    """The largest size at which the tree is that of a checkpoint, and those it is not."""
    tree, agreed, against, due = Tree(), 0, [], list(checkpoints)
    for entry in [None, *entries]:
        if entry is not None:
            tree.append(entry)
        while due and due[0].size == tree.size:
            checkpoint = due.pop(0)
            if checkpoint.root == tree.root():
                agreed = checkpoint.size
            else:
                against.append(checkpoint)
    return agreed, against + due


# Reading a bundle.

def parse_time(text):
    return datetime.fromisoformat(text) if text else None


def parse_note(text, signed_at, outside):
    origin, size, root = text.split("\n")[:3]
    return origin, Checkpoint(int(size), base64.b64decode(root, validate=True), signed_at, outside)


def read_against(path, origin):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for line in text.split("\n"):  # the file of a server: origin, size, root, time
        fields = line.split()
        if len(fields) >= 4 and fields[0] == origin:
            return Checkpoint(int(fields[1]), base64.b64decode(fields[2]), parse_time(fields[3]), True)
    of, checkpoint = parse_note(text, None, True)
    if of != origin:
        raise Unchecked(f"{path} is a checkpoint of {of}, the bundle is of {origin}")
    return checkpoint


def parse_event(record):
    digest = sha256(record)
    try:
        e = json.loads(record)
        return Event(digest, e["id"], e["stream"], e["revision"], bytes.fromhex(e["prev"]), parse_time(e["time"]))
    except (ValueError, KeyError, TypeError):
        return Event(digest, None, "", 0, b"", None)


def read_bundle(path):
    with tarfile.open(path, "r:") as archive:
        def content(name):
            return archive.extractfile(name).read()

        manifest = json.loads(content("manifest.json"))
        if manifest["format"] != "agentidp.bundle/1":
            raise Unchecked(f"its format is {manifest['format']}")
        events, entries, checkpoints = [], [], []
        for member in manifest["members"]:
            name, data = member["name"], content(member["name"])
            if len(data) != member["size"] or hashlib.sha256(data).hexdigest() != member["sha256"]:
                raise Unchecked(f"{name} is damaged")
            if name.startswith("events/"):
                lines = gzip.decompress(data).split(b"\n")
                if lines.pop() != b"" or len(lines) != member["lines"]:
                    raise Unchecked(f"{name} is damaged")
                events += map(parse_event, lines)
            elif name.startswith("entries/"):
                entries += (data[i:i + 32] for i in range(0, len(data), 32))
            elif name == "checkpoints.jsonl":
                for line in map(json.loads, data.splitlines()):
                    checkpoints.append(parse_note(line["note"], parse_time(line["signedAt"]), False)[1])
    return manifest, events, entries, checkpoints


# What is wrong, if anything.

def follow(events, tenant):
    """Every break of a chain. A stream that tenants share has gaps for each of them."""
    heads = {}
    for index, e in enumerate(events):
        if e.id is None:
            yield Break(index, "altered_event", "the bytes are no record", "", 0)
            continue
        revision, prev = heads.get(e.stream, (-1, bytes(32)))
        shared = tenant and e.stream.startswith(("security-", "claim-"))
        if e.revision > revision + 1 and not shared:
            yield Break(index, "removed_event", f"revision {revision + 1} of {e.stream} is missing", e.stream, revision + 1)
        elif e.revision <= revision:
            yield Break(index, "inserted_event", f"revision {revision + 1} of {e.stream} should come next", "", 0)
        elif e.revision == revision + 1 and e.prev != prev:
            yield Break(index, "altered_event", "it names another predecessor than it has", "", 0)
        heads[e.stream] = e.revision, e.hash


def newest(checkpoints):
    return max(checkpoints, key=lambda c: (c.outside, c.size), default=None)


def recorded_after(time, checkpoint):
    return bool(time and checkpoint and checkpoint.signed_at) and time > checkpoint.signed_at + timedelta(seconds=1)


class Diagnosis:
    def __init__(self, events, entries, checkpoints, tenant):
        self.events, self.entries, self.checkpoints = events, entries, checkpoints
        self.breaks = list(follow(events, tenant))
        self.authentic, _ = agreement(entries, checkpoints)
        self.agreed, self.against = agreement([e.hash for e in events], checkpoints)

    def conclude(self):
        parted = next((i for i, (e, entry) in enumerate(zip(self.events, self.entries)) if e.hash != entry), -1)
        if parted < 0 and len(self.events) < len(self.entries):
            parted = len(self.events)
        first = self.breaks[0] if self.breaks else None
        if 0 <= parted < self.authentic or not self.against and parted >= self.agreed and parted >= 0:
            return self.by_chain(first) if first and first.index < parted else self.by_log(parted)
        if self.against:
            return self.by_checkpoints()
        if parted >= 0 and not first:
            return Finding("altered_log", parted, "the events are what was signed, the log's entries are not")
        return self.by_chain(first) if first else None

    def by_log(self, at):
        """Compare the events with the log's entries from the first difference on."""
        if at == len(self.events):
            return Finding("truncated_tail", at, "the newest events are gone")
        index = {entry: i for i, entry in enumerate(self.entries)}
        present = {e.hash for e in self.events}
        missing = sum(entry not in present for entry in self.entries)
        known = [(i, index[e.hash]) for i, e in enumerate(self.events) if i >= at and e.hash in index]
        strangers = {e.stream for e in self.events[at:len(self.entries)] if e.hash not in index}
        rest = len(self.entries) - at
        survivors = sum(entry in present for entry in self.entries[at:])
        if not survivors and (len(strangers) > 1 or len(self.events) < len(self.entries)) \
                or len(strangers) > 1 and survivors * 20 < rest and at * 20 < rest:
            return self.tail(at)
        unknown = sum(e.hash not in index for e in self.events[at:known[-1][0]]) if known else 0
        shift = known[0][1] - known[0][0] if known else 0
        here, there = self.events[at].hash in index, self.entries[at] in present
        if missing == 0 and unknown == 0 or here and there:
            return Finding("reordered_events", at, "the events are those that were logged, in another order")
        if not here and (there or shift < 0):
            return Finding("inserted_event", at, "the log does not have this event, and has what comes after it")
        if here or shift > 0:
            if not self.breaks and unknown == 0:
                return Finding("removed_stream", at, f"{missing} events are gone and every chain holds")
            return Finding("removed_event", at, "an event is gone; another stands in its place")
        return Finding("altered_event", at, "the event is not the one that was logged here")

    def tail(self, at):
        """From here on nothing is what was logged."""
        later = any(recorded_after(e.time, newest(self.checkpoints)) for e in self.events[at:])
        if at == 0 or not later and at * 10 < len(self.entries):
            return Finding("rewritten_ledger", at, "from here on nothing is what was logged")
        if later or len(self.events) >= len(self.entries):
            return Finding("restored_backup", at, "up to here the ledger is what was signed; it went another way since")
        return Finding("truncated_tail", at, "the newest events are gone and others stand in their place")

    def by_checkpoints(self):
        """The log was made to fit: the checkpoints bound the damage from below."""
        if self.breaks and self.breaks[0].index >= self.agreed:
            return self.by_chain(self.breaks[0])
        size, last = len(self.events), newest(self.against)
        shorter = all(c.size > size for c in self.against)
        if self.agreed:
            for i in range(self.agreed, size):
                if recorded_after(self.events[i].time, last) and (shorter or i < last.size):
                    return Finding("restored_backup", i, "up to here the ledger is what was signed; it went another way since")
        if shorter:
            return Finding("truncated_tail", size, "the newest events are gone")
        if not self.agreed:
            return Finding("rewritten_ledger", 0, "no checkpoint agrees with the events")
        if all(c.outside for c in self.against if c.size <= size):
            return Finding("restored_backup", self.agreed, "up to here the ledger is what was signed; it went another way since")
        return Finding("undetermined", self.agreed, f"somewhere from here on it is not what was signed with {last.size} events")

    def by_chain(self, first):
        kind = first.kind
        if kind == "removed_event" and any(e.stream == first.stream and e.revision == first.next for e in self.events[first.index + 1:]):
            kind = "reordered_events"
        return Finding(kind, first.index, "by its chain: " + first.detail)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("bundle")
    arguments.add_argument("--against", action="append", default=[], metavar="CHECKPOINT")
    options = arguments.parse_args()
    try:
        manifest, events, entries, checkpoints = read_bundle(options.bundle)
        checkpoints += (read_against(path, manifest["origin"]) for path in options.against)
        checkpoints.sort(key=lambda c: c.size)
        if not checkpoints:
            raise Unchecked("there is no checkpoint in it, and none was given")
    except (Unchecked, OSError, tarfile.TarError, ValueError, KeyError, EOFError) as error:
        print(f"not checked: {error}", file=sys.stderr)
        return 2
    found = Diagnosis(events, entries, checkpoints, manifest["organization"] is not None).conclude()
    if found is None:
        print(f"intact: {len(events)} events of {manifest['origin']}, {len(checkpoints)} checkpoints; signatures were NOT checked")
        return 0
    print(f"{found.kind} at index {found.index}: {found.detail}")
    if found.index < len(events):
        e = events[found.index]
        print(f"  the event there: {e.id}, revision {e.revision} of {e.stream}, hash {e.hash.hex()}")
    if found.index < len(entries):
        print(f"  logged there: {entries[found.index].hex()}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
