"""What is sent through the proxies: bulk bytes, small round trips, idle connections, new connections.

The far end runs in another process, so that it and the sender do not share an interpreter.
"""

import contextlib
import multiprocessing
import os
import select
import socket
import time
from collections.abc import Iterator

BULK = 1 << 20
Address = tuple[str, int]
_FORK = multiprocessing.get_context("fork")


def _sink(listener: socket.socket) -> None:
    """Drops what it receives; after as many bytes as the first eight announce, it sends one back."""
    poll, left, buffer = select.epoll(), {}, bytearray(BULK)
    poll.register(listener, select.EPOLLIN)
    open_: dict[int, socket.socket] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                open_[sock.fileno()] = sock
                poll.register(sock, select.EPOLLIN)
                continue
            try:
                if fd not in left:
                    left[fd] = int.from_bytes(open_[fd].recv(8, socket.MSG_WAITALL), "big")
                    continue
                got = open_[fd].recv_into(buffer)
            except OSError:
                got = 0
            left[fd] -= got
            if not got:
                poll.unregister(fd)
                left.pop(fd)
                open_.pop(fd).close()
            elif not left[fd]:
                open_[fd].sendall(b"x")


def _echo(listener: socket.socket) -> None:
    """Sends everything back; accepts as fast as it can."""
    poll, open_ = select.epoll(), {}
    poll.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                open_[sock.fileno()] = sock
                poll.register(sock, select.EPOLLIN)
                continue
            try:
                data = open_[fd].recv(1 << 16)
                if data:
                    open_[fd].sendall(data)
            except OSError:
                data = b""
            if not data:
                poll.unregister(fd)
                open_.pop(fd).close()


@contextlib.contextmanager
def on_one_core() -> Iterator[None]:
    """This process, and those it forks, on one core only.

    A round trip between two processes takes 15 µs when the scheduler puts them on one core, and 50 on two, which varies
    from run to run. So both ends are kept on one core, while the proxies run anywhere; else the difference of two arms
    would be that of two placements.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def far_end(kind: str) -> Iterator[Address]:
    """An upstream in another process."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    process = _FORK.Process(target=_sink if kind == "sink" else _echo, args=(listener,), daemon=True)
    process.start()
    try:
        yield listener.getsockname()
    finally:
        process.kill()
        process.join()
        listener.close()


def bulk_gb_s(place: Address, connections: int, total_bytes: int) -> float:
    """Gigabytes per second through a number of connections at once, from the first byte sent to the last received."""
    socks = [socket.create_connection(place) for _ in range(connections)]
    payload, share = memoryview(bytes(BULK)), total_bytes // connections
    poll, by_fd, left = select.epoll(), {}, {}
    for sock in socks:
        sock.sendall(share.to_bytes(8, "big"))
        sock.setblocking(False)
        poll.register(sock, select.EPOLLOUT)
        by_fd[sock.fileno()], left[sock.fileno()] = sock, share
    began, answered = time.perf_counter(), 0
    while answered < connections:
        ready = poll.poll(20)
        if not ready:
            raise TimeoutError("no byte moved for 20 s")
        for fd, _ in ready:
            if left[fd]:
                left[fd] -= by_fd[fd].send(payload[: left[fd]])
                if not left[fd]:
                    poll.modify(fd, select.EPOLLIN)
            else:
                assert by_fd[fd].recv(1) == b"x"
                poll.unregister(fd)
                answered += 1
    took_s = time.perf_counter() - began
    for sock in socks:
        sock.close()
    return total_bytes / took_s / 1e9


def round_trips_us(place: Address, count: int, size: int = 200) -> list[float]:
    """Sorted times of a number of round trips, one after the other, in microseconds."""
    taken: list[float] = []
    payload = os.urandom(size)
    with socket.create_connection(place) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(20)
        for number in range(count + 50):
            began = time.perf_counter()
            sock.sendall(payload)
            got = 0
            while got < size:
                got += len(sock.recv(size - got))
            if number >= 50:
                taken.append((time.perf_counter() - began) * 1e6)
    return sorted(taken)


def connects_per_s(place: Address, count: int) -> float:
    """New connections per second, each opened, used for one byte there and back, and closed."""
    began = time.perf_counter()
    for _ in range(count):
        with socket.create_connection(place) as sock:
            sock.sendall(b"x")
            sock.recv(1)
    return count / (time.perf_counter() - began)


@contextlib.contextmanager
def idle(place: Address, count: int) -> Iterator[None]:
    """A number of connections, each used once and then idle."""
    socks = []
    try:
        for _ in range(count):
            sock = socket.create_connection(place)
            socks.append(sock)
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        yield
    finally:
        for sock in socks:
            sock.close()


def at(ordered: list[float], share: float) -> float:
    """The value at a share of a sorted list."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
