# SPDX-License-Identifier: Apache-2.0
"""serve.py SOCKET: an echo behind agenkit's servers; prints where they listen, and ends after two minutes."""

import asyncio
import socket
import sys

from agenkit.adapters.python.http_server import HTTPAgentServer
from agenkit.adapters.python.local_agent import LocalAgent
from agenkit.interfaces import Agent, Message


class Echo(Agent):
    @property
    def name(self):
        return "echo"

    @property
    def capabilities(self):
        return []

    async def process(self, message):
        if message.content == "fail":
            raise ValueError("asked to fail")
        return Message(role="agent", content=message.content, metadata=message.metadata)

    async def stream(self, message):
        for word in message.content.split(" "):
            if word == "fail":
                raise ValueError("asked to fail")
            yield Message(role="agent", content=word)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def main():
    urls = [f"unix://{sys.argv[1]}", f"tcp://127.0.0.1:{free_port()}"]
    for url in urls:
        await LocalAgent(Echo(), endpoint=url).start()
    port = free_port()
    # Without the rate limit that it has by default: the calls here come at once.
    await HTTPAgentServer(Echo(), host="127.0.0.1", port=port, enable_default_middleware=False).start()
    print(*urls, f"http://127.0.0.1:{port}", flush=True)
    await asyncio.sleep(120)


asyncio.run(main())
