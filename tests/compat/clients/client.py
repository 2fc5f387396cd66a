# SPDX-License-Identifier: Apache-2.0
#
# toxiproxy-python against our daemon, whose port is in API_PORT: create, toggle, every toxic, update, populate, reset,
# errors; with bytes through the proxy.
import os
import socket
import threading
import time

from toxiproxy import Toxiproxy
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

TOXICS = {
    "latency": {"latency": 100, "jitter": 0},
    "bandwidth": {"rate": 1000},
    "slow_close": {"delay": 10},
    "timeout": {"timeout": 5000},
    "reset_peer": {"timeout": 5000},
    "slicer": {"average_size": 64, "size_variation": 32, "delay": 10},
    "limit_data": {"bytes": 1000},
    "noop": {},
}


def echo_server():
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return "127.0.0.1:%d" % listener.getsockname()[1]


def connect(proxy):
    host, port = proxy.listen.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


def round_trip(connection, text=b"ping"):
    begun = time.monotonic()
    connection.sendall(text)
    got = b""
    while len(got) < len(text):
        more = connection.recv(65536)
        assert more, "the stream ended"
        got += more
    assert got == text
    return time.monotonic() - begun


def raises(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        return str(error)
    raise AssertionError("no %s" % kind.__name__)


def check_toggle(proxy):
    connection = connect(proxy)
    round_trip(connection)
    with proxy.down():
        assert connection.recv(1) == b""
        try:
            connect(proxy)
            raise AssertionError("it listens though it is down")
        except ConnectionRefusedError:
            pass
    with connect(proxy) as again:
        round_trip(again)


def check_toxics(proxy):
    for kind, attributes in TOXICS.items():
        for stream in ("upstream", "downstream"):
            proxy.add_toxic(type=kind, stream=stream, attributes=attributes, toxicity=0.5)
            toxic = proxy.get_toxic("%s_%s" % (kind, stream))
            assert (toxic.type, toxic.stream, toxic.toxicity) == (kind, stream, 0.5)
            assert toxic.attributes == attributes
    assert len(proxy.toxics()) == 2 * len(TOXICS)
    for name in list(proxy.toxics()):
        assert proxy.destroy_toxic(name)
    assert proxy.toxics() == {}


def check_effects(proxy):
    with connect(proxy) as connection:
        round_trip(connection)
        proxy.add_toxic(type="latency", attributes={"latency": 150})
        assert round_trip(connection) >= 0.15
        # This client has no call for an update; its users post.
        APIConsumer.post("/proxies/%s/toxics/latency_downstream" % proxy.name, json={"attributes": {"latency": 300}})
        assert round_trip(connection) >= 0.3
        proxy.destroy_toxic("latency_downstream")
        assert round_trip(connection) < 0.3
    proxy.add_toxic(type="limit_data", attributes={"bytes": 2})
    with connect(proxy) as connection:
        connection.sendall(b"four")
        assert connection.recv(10) + connection.recv(10) == b"fo"


def main():
    server = Toxiproxy()
    server.update_api_consumer("127.0.0.1", int(os.environ["API_PORT"]))
    upstream = echo_server()
    assert server.running()
    assert b"2.12.0" in server.version()
    assert server.proxies() == {}

    proxy = server.create(name="web", upstream=upstream)
    assert proxy.enabled and proxy.upstream == upstream and proxy.listen.startswith("127.0.0.1:")
    assert "exists" in raises(ProxyExists, server.create, name="web", upstream=upstream)
    check_toggle(proxy)
    check_toxics(proxy)
    check_effects(proxy)

    assert "invalid toxic type" in raises(InvalidToxic, proxy.add_toxic, type="nonsense")
    assert "either upstream or downstream" in raises(InvalidToxic, proxy.add_toxic, type="noop", stream="sideways")
    assert "toxic not found" in raises(NotFound, proxy.destroy_toxic, "nothing")

    proxy.disable()
    server.reset()
    assert server.get_proxy("web").enabled and proxy.toxics() == {}

    made = server.populate([{"name": "web", "upstream": "other:1"}, {"name": "more", "upstream": upstream}])
    assert [one.name for one in made] == ["web", "more"]
    assert server.get_proxy("web").upstream == "other:1"
    server.destroy_all()
    assert server.proxies() == {}
    assert "proxy not found" in raises(NotFound, proxy.destroy)
    print("toxiproxy-python: passed")


main()
