"""pymemcache (Debian python3-pymemcache): one line for each thing that it does, the same for every right server."""
import sys

from pymemcache import serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.exceptions import MemcacheError

server = (sys.argv[1], int(sys.argv[2]))
client = Client(server, timeout=20, default_noreply=False)
DAY = 86400


def show(name, value):
    print(f"{name}: {value!r}")


def fails(name, call):
    try:
        show(name, call())
    except MemcacheError as error:
        show(name, error)


show("flush_all", client.flush_all())

show("get of nothing", client.get("k"))
show("set", client.set("k", "v"))
show("get", client.get("k"))
show("empty value", [client.set("empty", b""), client.get("empty")])
show("item access", [client.__setitem__("item", "x"), client["item"], client.__delitem__("item"), client.get("item")])

show("add over", client.add("k", "no"))
show("add", client.add("added", "yes"))
show("replace", client.replace("k", "w"))
show("replace of nothing", client.replace("nothing", "no"))
show("append", client.append("k", "-tail"))
show("prepend", client.prepend("k", "head-"))
show("append to nothing", client.append("nothing", "no"))
show("prepend to nothing", client.prepend("nothing", "no"))
show("after all of them", client.get_many(["k", "added", "nothing"]))

value, unique = client.gets("k")
show("gets", [value, unique.isdigit()])
show("gets of nothing", client.gets("nothing"))
show("cas", client.cas("k", "swapped", unique))
show("cas once more", client.cas("k", "no", unique))
show("cas of nothing", client.cas("nothing", "no", unique))
show("after cas", client.get("k"))
show("gets_many", {key: value for key, (value, _) in client.gets_many(["k", "added", "nothing"]).items()})

show("incr of nothing", client.incr("n", 1))
show("set n", client.set("n", "10"))
show("incr", client.incr("n", 5))
show("decr", client.decr("n", 8))
show("decr below 0", client.decr("n", 100))
show("incr to the top", client.incr("n", 2**64 - 1))
show("incr over the top", client.incr("n", 3))
fails("incr of text", lambda: client.incr("k", 1))
show("decr keeps the width", [client.set("n", "100"), client.decr("n", 1), client.get("n")])

show("touch", client.touch("k", DAY))
show("touch of nothing", client.touch("nothing", DAY))
show("touch into the past", [client.touch("added", -1), client.get("added")])
show("expiry 0", [client.set("stays", "x", expire=0), client.get("stays")])
show("expiry of a day", [client.set("day", "x", expire=DAY), client.get("day")])
show("expiry in 2037", [client.set("far", "x", expire=2114380800), client.get("far")])
show("expiry in 1970", [client.set("past", "x", expire=31 * DAY), client.get("past")])
show("expiry below 0", [client.set("gone", "x", expire=-1), client.get("gone")])

show("delete", [client.delete("k"), client.get("k")])
show("delete of nothing", client.delete("k"))

every_byte = bytes(range(256)) + b"\r\nEND\r\nVALUE k 0 1\r\n"
show("binary bytes", [client.set("bytes", every_byte), client.get("bytes") == every_byte])
big = every_byte * 1850
show("500 KB", [len(big), client.set("big", big), client.get("big") == big])
show("more after it", client.append("big", "tail") and client.get("big") == big + b"tail")
fails("2 MB", lambda: client.set("huge", b"x" * 2**21))
show("2 MB was not stored", client.get("huge"))
show("longest key", [client.set("l" * 250, "x"), client.get("l" * 250)])
fails("key too long", lambda: client.get("l" * 251))

many = {f"many-{i}": f"value {i}" * (i % 7) for i in range(200)}
show("set_many", client.set_many(many))
found = client.get_many([*many, "nothing", "missing"])
show("get_many", [len(found), all(found[key] == text.encode() for key, text in many.items())])
large = {f"large-{i}": bytes([i]) * 50_000 for i in range(40)}
show("set_many, 2 MB", client.set_many(large))
show("get_many, 2 MB", client.get_many(list(large)) == large)
show("delete_many", [client.delete_many(list(many)), client.get_many(list(many))])

client.set("quiet-n", "1")
show("set without reply", [client.set("quiet", "1", noreply=True), client.get("quiet")])
show("add without reply", [client.add("quiet", "2", noreply=True), client.get("quiet")])
show("replace without reply", [client.replace("quiet", "3", noreply=True), client.get("quiet")])
show("append without reply", [client.append("quiet", "4", noreply=True), client.get("quiet")])
show("prepend without reply", [client.prepend("quiet", "2", noreply=True), client.get("quiet")])
show("cas without reply", [client.cas("quiet", "5", client.gets("quiet")[1], noreply=True), client.get("quiet")])
show("incr without reply", [client.incr("quiet", 2, noreply=True), client.get("quiet")])
show("decr without reply", [client.decr("quiet", 3, noreply=True), client.get("quiet")])
show("touch without reply", [client.touch("quiet", -1, noreply=True), client.get("quiet")])
show("delete without reply", [client.delete("quiet-n", noreply=True), client.get("quiet-n")])
show("set_many without reply", [client.set_many(many, noreply=True), len(client.get_many(list(many)))])



class Flags:
    def serialize(self, key, value):
        return value, 0

    def deserialize(self, key, value, flags):
        return value, flags


flagged = Client(server, timeout=20, default_noreply=False, serde=Flags())
show("flags", [flagged.set("flags", "x", flags=2**32 - 1), flagged.get("flags"), flagged.get("quiet-n"), flagged.get("big")[1]])
serial = Client(server, timeout=20, default_noreply=False, serde=serde.pickle_serde)
objects = {"dict": {"a": [1, 2.5, None, "ü"]}, "int": 42, "text": "ünïcode", "bytes": b"\x00\xff"}
show("objects", [serial.set_many(objects), serial.get_many(list(objects)) == objects])
unicode = Client(server, timeout=20, default_noreply=False, allow_unicode_keys=True, encoding="utf8")
show("unicode key", [unicode.set("schlüssel", "x"), unicode.get("schlüssel")])
prefixed = Client(server, timeout=20, default_noreply=False, key_prefix=b"app:")
show("prefix", [prefixed.set("k", "x"), prefixed.get_many(["k"]), client.get("app:k")])
pool = PooledClient(server, timeout=20, max_pool_size=4)
show("pool", [pool.set("pool", "x", noreply=False), pool.get("pool")])

show("version", client.version().decode().split(".")[0])
stats = client.stats()
PROMISED = """pid uptime time version pointer_size rusage_user rusage_system curr_connections total_connections cmd_get
cmd_set cmd_flush cmd_touch get_hits get_misses delete_misses delete_hits incr_misses incr_hits decr_misses decr_hits
cas_misses cas_hits cas_badval touch_hits touch_misses bytes_read bytes_written limit_maxbytes accepting_conns threads
bytes curr_items total_items evictions""".split()
show("stats that are missing", [name for name in PROMISED if name.encode() not in stats])
show("stats settings", client.stats("settings")[b"item_size_max"])
show("flush_all without reply", [client.flush_all(noreply=True), client.get("stays"), client.get("big")])
show("set after it", [client.set("k", "new"), client.get("k")])
show("quit", client.quit())
show("connects again", client.get("k"))
