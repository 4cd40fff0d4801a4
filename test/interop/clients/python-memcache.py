"""python-memcached (Debian python3-memcache): one line for each thing that it does, the same for every right server."""
import sys

import memcache

client = memcache.Client([f"{sys.argv[1]}:{sys.argv[2]}"], cache_cas=True, socket_timeout=20, server_max_value_length=2**22)
DAY = 86400


def show(name, value):
    print(f"{name}: {value!r}")


show("flush_all", client.flush_all())
show("get of nothing", client.get("k"))
show("set", [client.set("k", "v"), client.get("k")])
show("add over", client.add("k", "no"))
show("add", client.add("added", "yes"))
show("replace", client.replace("k", "w"))
show("replace of nothing", client.replace("nothing", "no"))
show("append", client.append("k", "-tail"))
show("prepend", client.prepend("k", "head-"))
show("append to nothing", client.append("nothing", "no"))
show("after all of them", client.get_multi(["k", "added", "nothing"]))

show("gets", client.gets("k"))
show("cas", client.cas("k", "swapped"))
show("cas once more", client.cas("k", "no"))
client.reset_cas()
show("gets again", client.gets("k"))
show("in between", client.set("k", "between"))
show("cas too late", client.cas("k", "no"))
show("after cas", client.get("k"))

show("incr of nothing", client.incr("n"))
show("set n", client.set("n", "10"))
show("incr", client.incr("n", 5))
show("decr", client.decr("n", 8))
show("decr below 0", client.decr("n", 100))
show("an int", [client.set("int", 41), client.incr("int"), client.get("int")])

show("touch", client.touch("k", DAY))
show("touch of nothing", client.touch("nothing", DAY))
show("touch into the past", [client.touch("added", -1), client.get("added")])
show("expiry 0", [client.set("stays", "x", time=0), client.get("stays")])
show("expiry in 1970", [client.set("past", "x", time=31 * DAY), client.get("past")])
show("delete", [client.delete("k"), client.get("k")])
show("delete of nothing", client.delete("k"))

values = {"int": 7, "bool": True, "bytes": bytes(range(256)), "text": "ü\r\nEND\r\n", "dict": {"a": [1, None]}, "long": 2**80}
show("values", [client.set_multi(values), client.get_multi(list(values)) == values])
big = bytes(range(256)) * 2000
show("500 KB", [len(big), client.set("big", big), client.get("big") == big])
show("compressed", [client.set("zip", big, min_compress_len=1000), client.get("zip") == big])
show("2 MB", [client.set("huge", b"x" * 2**21), client.get("huge")])
show("longest key", [client.set("l" * 250, "x"), client.get("l" * 250)])

many = {f"{i}": f"value {i}" for i in range(200)}
show("set_multi", client.set_multi(many, key_prefix="many-"))
found = client.get_multi([*many, "nothing"], key_prefix="many-")
show("get_multi", [len(found), found == many])
show("delete_multi", [client.delete_multi(list(many), key_prefix="many-"), client.get_multi(list(many), key_prefix="many-")])
show("set_multi without reply", [client.set_multi(many, noreply=True), client.get_multi(list(many)) == many])
show("delete_multi without reply", [client.delete_multi(list(many), noreply=True), client.get_multi(list(many))])

show("set without reply", [client.set("quiet", "1", noreply=True), client.get("quiet")])
show("append without reply", [client.append("quiet", "4", noreply=True), client.get("quiet")])
show("incr without reply", [client.incr("quiet", 2, noreply=True), client.get("quiet")])
show("decr without reply", [client.decr("quiet", 3, noreply=True), client.get("quiet")])
show("touch without reply", [client.touch("quiet", -1, noreply=True), client.get("quiet")])
show("delete without reply", [client.delete("stays", noreply=True), client.get("stays")])

[(_, stats)] = client.get_stats()
show("version", stats["version"].split(".")[0])
show("stats", [name in stats for name in ("pid", "curr_items", "cmd_get", "limit_maxbytes", "threads")])
client.set("k", "v")
show("flush_all", [client.flush_all(), client.get("k"), client.get("big")])
