#!/usr/bin/env python3
"""Verify a bundle that `agentidp ledger export` wrote, with nothing of ours.

    python3 verify.py BUNDLE --key KEY [--against CHECKPOINT]... [--unsigned-tail]

Needs Python 3.11 and its standard library. It hashes every record, follows the
chain of every stream, compares every hash with the log's entries, and the Merkle
tree over them with every checkpoint in the bundle and every one that is given:
a signed checkpoint, or the file of checkpoints that the server keeps.
docs/ledger-format.md describes all of this.

--key is the key that you pinned, or a file with it. The signatures of checkpoints
are checked by the openssl command (1.1.1 or later; the standard library has no
Ed25519), and those of other keys are left out. Without --key they are not
checked, and nothing is proven: what is broken is found, no more. What is not
checked is that records are spelt the one way they may be. What it
holds in memory grows with the number of events, and a file that is not as a
writer makes it is refused before it is unpacked.

Exit code 0: intact and proven. 1: broken, with what was done and where first. 2:
it could not be checked, or is not proven: no key was pinned, or the newest events
are covered by no checkpoint and --unsigned-tail was not given.
"""
import argparse, base64, hashlib, json, os, subprocess, sys, tempfile, zlib
from collections import namedtuple
from datetime import datetime, timedelta

# What a writer makes, and so the most that is read.
RECORDS, UNPACKED, PACKED = 4096, (4 << 20) + (60 << 10) + 1, 5 << 20  # of a member of events
ENTRIES, MEMBERS, MANIFEST, LINE, SMALL = 32768 * 32, 1 << 15, 16 << 20, 64 << 10, 4 << 10

Event = namedtuple("Event", "hash id stream revision prev time")  # id None: bytes that are no record
Checkpoint = namedtuple("Checkpoint", "size root signed_at outside")
Break = namedtuple("Break", "index kind detail stream next")
Finding = namedtuple("Finding", "kind index detail")


class Unchecked(Exception):
    """The bundle proves nothing, neither way."""


class Unproven(Unchecked):
    """What is there holds together, and that is all."""


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
    time = datetime.fromisoformat(text) if text else None
    if time and time.utcoffset() is None:
        raise ValueError("a time says no offset from UTC")
    return time


def parse_json(text):
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")
    return json.loads(text, parse_constant=refuse)


class Key:
    """A verifier key (C2SP signed-note) and openssl to verify with it."""

    PREFIX = bytes.fromhex("302a300506032b6570032100")  # of an Ed25519 public key in DER

    def __init__(self, given):
        if os.path.isfile(given):
            with open(given, encoding="utf-8") as file:
                given = file.read(SMALL).strip()
        self.name, digits, text = given.split("+", 2)
        key = base64.b64decode(text, validate=True)
        self.id = sha256(self.name.encode(), b"\n", key)[:4]
        if key[:1] != b"\x01" or len(key) != 33 or self.id.hex() != digits:
            raise Unchecked("the key is damaged, or no Ed25519 key: copy it again")
        self.der = self.PREFIX + key[1:]

    def signed(self, note):
        """Whether it signed a note; None where it does not say so, False where it says so falsely."""
        text, mark, signatures = note.partition("\n\n")
        for line in signatures.split("\n") if mark else []:
            fields = line.split(" ")
            if len(fields) == 3 and fields[:2] == ["\u2014", self.name]:
                signature = base64.b64decode(fields[2], validate=True)
                if signature[:4] == self.id and len(signature) == 68:
                    return self.verify(text.encode() + b"\n", signature[4:])
        return None

    def verify(self, message, signature):
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("key", "message", "signature")]
            for path, content in zip(paths, (self.der, message, signature)):
                with open(path, "wb") as file:
                    file.write(content)
            try:
                done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", paths[0], "-rawin",
                                       "-in", paths[1], "-sigfile", paths[2]], capture_output=True, check=False)
            except FileNotFoundError:
                raise Unchecked("--key needs the openssl command") from None
            if b"Verified Successfully" in done.stdout and done.returncode == 0:
                return True
            if b"Verification Failure" in done.stdout + done.stderr:
                return False
            raise Unchecked("openssl cannot verify: " + done.stderr.decode(errors="replace").split("\n")[0])


def parse_note(text, signed_at, outside):
    origin, size, root = text.split("\n")[:3]
    return origin, Checkpoint(int(size), base64.b64decode(root, validate=True), signed_at, outside)


def read_against(path, origin, key):
    with open(path, encoding="utf-8") as file:
        text = file.read(MANIFEST)
    for line in text.split("\n"):  # the file of a server: origin, size, root, time
        fields = line.split()
        if len(fields) >= 4 and fields[0] == origin:
            return Checkpoint(int(fields[1]), base64.b64decode(fields[2]), parse_time(fields[3]), True)
    of, checkpoint = parse_note(text, None, True)
    if of != origin:
        raise Unchecked(f"{path} is a checkpoint of {of}, the bundle is of {origin}")
    if key and not key.signed(text):
        raise Unchecked(f"{path} is not signed by this key")
    return checkpoint


def parse_event(record):
    digest = sha256(record)
    try:
        e = parse_json(record)
        if type(e["revision"]) is not int or type(e["stream"]) is not str or type(e["id"]) is not str:
            raise TypeError
        return Event(digest, e["id"], e["stream"], e["revision"], bytes.fromhex(e["prev"]), parse_time(e["time"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return Event(digest, None, "", 0, b"", None)


def unpack(name, data):
    """A member of gzip, one stream and no larger than a writer makes it."""
    unzip = zlib.decompressobj(wbits=31)
    text = unzip.decompress(data, UNPACKED + 1)
    if len(text) > UNPACKED or not unzip.eof or unzip.unused_data:
        raise Unchecked(f"{name} is damaged, or larger than any that is written")
    return text


def largest(name):
    for prefix, size in (("events/", PACKED), ("entries/", ENTRIES), ("verifier-key.txt", SMALL), ("manifest.json", MANIFEST)):
        if name.startswith(prefix):
            return size
    return sys.maxsize if name == "checkpoints.jsonl" else 0


def index(file):
    """Where each member of a tar archive (POSIX ustar) is, by its name: offset and size."""
    members = {}
    while len(header := file.read(512)) == 512 and header.strip(b"\0"):
        name, size = header[:100].rstrip(b"\0").decode(), int(header[124:136].rstrip(b"\0 "), 8)
        summed = sum(header[:148]) + 8 * 32 + sum(header[156:])
        if summed != int(header[148:156].rstrip(b"\0 "), 8) or header[156:157] not in b"0\0" or size < 0:
            raise Unchecked("it is no tar archive of plain files, or damaged")
        if len(members) > MEMBERS or name in members or size > largest(name):
            raise Unchecked(f"member {name[:80]!r} does not belong there, or is larger than any that is written")
        members[name] = file.tell(), size
        file.seek(size + -size % 512, 1)
    if list(members)[-1:] != ["manifest.json"]:
        raise Unchecked("there is no manifest at its end: was it cut off?")
    return members


def read_manifest(file, members):
    file.seek(members["manifest.json"][0])
    text = file.read(members["manifest.json"][1])
    if text.count(b"{") > len(members):
        raise Unchecked("the manifest lists more members than there are")
    manifest = parse_json(text)
    if manifest["format"] != "agentidp.bundle/1":
        raise Unchecked(f"its format is {manifest['format']}")
    listed = manifest["members"]
    if [(m["name"], m["size"]) for m in listed] != [(name, size) for name, (_, size) in members.items()][:-1]:
        raise Unchecked("the members are not those of the manifest")
    lines = [m["lines"] for m in listed if m["name"].startswith("events/")]
    entries = sum(m["size"] for m in listed if m["name"].startswith("entries/")) // 32
    if any(not 0 < n <= RECORDS for n in lines) or (sum(lines), entries) != (manifest["events"], manifest["entries"]):
        raise Unchecked("there are not as many events and entries as the manifest says")
    if entries < sum(lines):
        raise Unchecked(f"it has {sum(lines)} events and log entries for {entries} of them only: ask for a new export")
    return manifest


def read_checkpoints(file, size, digest, key, forged):
    while size > 0:
        line = file.readline(min(LINE, size))
        size -= len(line)
        digest.update(line)
        line = parse_json(line)
        origin, checkpoint = parse_note(line["note"], parse_time(line["signedAt"]), False)
        signed = not key or (key.signed(line["note"]) if origin == key.name else None)
        if signed:
            yield checkpoint
        elif signed is False:
            forged.append(checkpoint)


def read_bundle(path, key):
    with open(path, "rb") as file:
        members = index(file)
        manifest = read_manifest(file, members)
        if key and key.name != manifest["origin"]:
            raise Unchecked(f"the key is of {key.name}, the bundle of {manifest['origin']}")
        events, entries, checkpoints, forged = [], [], [], []
        for member in manifest["members"]:
            name, digest = member["name"], hashlib.sha256()
            file.seek(members[name][0])
            if name == "checkpoints.jsonl":
                checkpoints += read_checkpoints(file, member["size"], digest, key, forged)
            else:
                data = file.read(member["size"])
                digest.update(data)
            if digest.hexdigest() != member["sha256"]:
                raise Unchecked(f"{name} is damaged")
            if name.startswith("events/"):
                text = unpack(name, data)
                if text.count(b"\n") != member["lines"] or not text.endswith(b"\n"):
                    raise Unchecked(f"{name} has not the records that the manifest says")
                events += map(parse_event, text.split(b"\n")[:-1])
            elif name.startswith("entries/"):
                entries += (data[i:i + 32] for i in range(0, len(data) - len(data) % 32, 32))
    return manifest, events, entries, checkpoints, forged


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


def prove(options, manifest, checkpoints):
    """Say what proves events that hold together, or that nothing does."""
    if not options.key:
        raise Unproven("no pinned key, so no signature was checked. Name the key that you got by another way than the bundle: --key")
    if not checkpoints:
        raise Unproven("there is no checkpoint in it that this key signed")
    events, signed = manifest["events"], checkpoints[-1].size
    if signed < events and not options.unsigned_tail:
        raise Unproven(f"the last {events - signed} of {events} events are covered by no checkpoint; --unsigned-tail accepts them")
    print(f"intact: {events} events of {manifest['origin']}, {min(signed, events)} of them in {len(checkpoints)} checkpoints signed by {options.key.name}")
    print("not checked: whether tokens were issued under credentials that their agents had; agentidp ledger verify does that")


def verify(options):
    key = options.key = Key(options.key) if options.key else None
    manifest, events, entries, checkpoints, forged = read_bundle(options.bundle, key)
    checkpoints += (read_against(path, manifest["origin"], key) for path in options.against)
    checkpoints.sort(key=lambda c: c.size)
    found = Diagnosis(events, entries, checkpoints, manifest["organization"] is not None).conclude()
    if found is None and forged:
        found = Finding("altered_log", -1, f"the events hold, but {len(forged)} of the checkpoints bear a false signature of the key")
    if found is None:
        prove(options, manifest, checkpoints)
        return 0
    print(f"{found.kind} at index {found.index}: {found.detail}")
    if 0 <= found.index < len(events):
        e = events[found.index]
        print(f"  the event there: {e.id}, revision {e.revision} of {e.stream}, hash {e.hash.hex()}")
    if 0 <= found.index < len(entries):
        print(f"  logged there: {entries[found.index].hex()}")
    return 1


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("bundle")
    arguments.add_argument("--key", metavar="KEY")
    arguments.add_argument("--against", action="append", default=[], metavar="CHECKPOINT")
    arguments.add_argument("--unsigned-tail", action="store_true")
    options = arguments.parse_args()
    try:
        return verify(options)
    except Unproven as error:
        print(f"unproven: {error}", file=sys.stderr)
    except Unchecked as error:
        print(f"not checked: {error}", file=sys.stderr)
    except Exception as error:  # whatever a file makes us stumble over is no finding
        print(f"not checked: {type(error).__name__}: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
