"""Runs an experiment of the Chaos Toolkit whose actions and probes are chaostoolkit-toxiproxy's, and prints "ok"."""

import socket
import sys
import time

from chaoslib.activity import run_activity
from chaoslib.exceptions import ActivityFailed

API, UPSTREAM = sys.argv[1:]
HOST, PORT = UPSTREAM.split(":")
CONFIGURATION: dict = {"toxiproxy_url": API}


def run(kind: str, module: str, func: str, **arguments: object) -> object:
    provider = {"type": "python", "module": f"chaostoxi.{module}", "func": func, "arguments": arguments}
    activity = {"type": kind, "name": func, "provider": provider}
    try:
        return run_activity(activity, CONFIGURATION, {})
    except ActivityFailed as failed:
        sys.exit(f"{func} failed: {failed}")


def round_trip_s(listen: str) -> float:
    host, port = listen.rsplit(":", 1)
    began = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
    return time.monotonic() - began


def attribute(name: str) -> object:
    return run("probe", "proxy.probes", "get_proxy_attribute", proxy_name="ctk", attribute=name)


run("action", "proxy.actions", "create_proxy", proxy_name="ctk", upstream_host=HOST, upstream_port=int(PORT),
    listen_host="127.0.0.1", listen_port=0, enabled=True)  # fmt: skip
assert run("probe", "proxy.probes", "proxy_exist", proxy_name="ctk") is True
listen = str(attribute("listen"))
round_trip_s(listen)
toxics = [
    ("create_latency_toxic", {"latency": 100, "jitter": 0}),
    ("create_bandwith_degradation_toxic", {"rate": 1000}),
    ("create_slow_connection_close_toxic", {"delay": 10}),
    ("create_slicer_toxic", {"average_size": 10, "size_variation": 3, "delay": 1}),
    ("create_limiter_toxic", {"bytes_limit": 100}),
    ("create_timeout_toxic", {"timeout": 1000}),
]
for name, arguments in toxics:
    run("action", "toxic.actions", name, for_proxy="ctk", toxic_name=name, **arguments)
    if name == "create_latency_toxic":
        assert round_trip_s(listen) >= 0.1
    assert [toxic["name"] for toxic in attribute("toxics")] == [name]  # type: ignore[attr-defined]
    assert run("action", "toxic.actions", "delete_toxic", for_proxy="ctk", toxic_name=name) is True
run("action", "proxy.actions", "disable_proxy", proxy_name="ctk")
assert attribute("enabled") is False
run("action", "proxy.actions", "enable_proxy", proxy_name="ctk")
assert attribute("enabled") is True
run("action", "proxy.actions", "reset")
run("action", "proxy.actions", "delete_proxy", proxy_name="ctk")
assert not run("probe", "proxy.probes", "proxy_exist", proxy_name="ctk")
print("ok")
