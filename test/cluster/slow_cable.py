"""
Carries frames between two network interfaces, each frame after a while, in order. The frames keep the header that says what the
kernel has left to do with them (checksums, cutting), so that they may be larger than the wire.

    slow_cable.py INTERFACE INTERFACE DELAY_MS JITTER_MS
"""
import collections
import random
import select
import socket
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
ETH_P_ALL = 3
MAX_WAITING = 20_000


def end_of_cable(interface):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    end.bind((interface, 0))
    end.setblocking(False)
    return end


def main():
    one, other, delay_ms, jitter_ms = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    ends = [end_of_cable(one), end_of_cable(other)]
    waiting = [collections.deque(), collections.deque()]  # at which end they came in: when they are due, and their bytes
    last = [0.0, 0.0]
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        for side in (0, 1):
            queue = waiting[side]
            while queue and queue[0][0] <= now:
                _, frame = queue.popleft()
                try:
                    ends[1 - side].send(frame)
                except OSError:
                    pass  # as a cable that is full loses frames
        due = min((queue[0][0] for queue in waiting if queue), default=now + 1)
        readable, _, _ = select.select(ends, [], [], max(0, due - time.monotonic()))
        for end in readable:
            side = ends.index(end)
            for _ in range(256):
                try:
                    frame = end.recv(70_000)
                except BlockingIOError:
                    break
                if len(waiting[side]) >= MAX_WAITING:
                    continue
                moment = time.monotonic() + (delay_ms + random.random() * jitter_ms) / 1000
                last[side] = max(last[side], moment)
                waiting[side].append((last[side], frame))


main()
