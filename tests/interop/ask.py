# SPDX-License-Identifier: Apache-2.0
"""ask.py URL: agenkit's client against our server, which is interop_peer serve. Status 1 where anything is amiss."""

import asyncio
import sys

from agenkit.adapters.python.errors import ConnectionError as TransportError
from agenkit.adapters.python.errors import RemoteExecutionError
from agenkit.adapters.python.remote_agent import RemoteAgent
from agenkit.interfaces import Message

CALLS = 64
failures = 0


def expect(what, holds):
    global failures
    if not holds:
        failures += 1
        print(f"failed: {what}")


async def replies(url):
    agent = RemoteAgent("echo", endpoint=url)
    metadata = {"list": [1, "ü"], "large": 9007199254740993, "none": None, "deep": {"a": {}}}
    contents = {"plain": "hello", "unicode": ' grüße 🌍 "\\ \n\t\u0001 \n', "empty": "", "1 MiB": "ü" * (1 << 19)}
    for name, content in contents.items():
        reply = await agent.process(Message(role="user", content=content, metadata=metadata))
        expect(f"{name}: content", reply.content == content)
        expect(f"{name}: role", reply.role == "agent")
        expect(f"{name}: metadata", reply.metadata == metadata)
    await agent.close()


async def errors(url):
    agent = RemoteAgent("echo", endpoint=url)
    # Over HTTP its client takes every status but 200 for a failure of the transport; the text tells what it was.
    kind = TransportError if url.startswith("http") else RemoteExecutionError
    try:
        await agent.process(Message(role="user", content="fail"))
        expect("an error", False)
    except kind as error:
        expect(f"the error's text: {error}", "asked to fail" in str(error))
    reply = await agent.process(Message(role="user", content="after"))
    expect("the connection after an error", reply.content == "after")
    await agent.close()


async def streams(url):
    # One client a stream: over HTTP, its client cannot be used again after one.
    chunks = [c.content async for c in RemoteAgent("echo", endpoint=url).stream(Message(role="user", content="a bö c"))]
    expect(f"chunks: {chunks}", chunks == ["a", "bö", "c"])
    seen = []
    try:
        async for chunk in RemoteAgent("echo", endpoint=url).stream(Message(role="user", content="a fail c")):
            seen.append(chunk.content)
        expect("an error in a stream", False)
    except RemoteExecutionError as error:
        expect(f"the error's text in a stream: {error}", "asked to fail" in str(error))
    expect(f"chunks before the error: {seen}", seen == ["a"])


async def at_once(url):
    agents = [RemoteAgent("echo", endpoint=url) for _ in range(CALLS)]
    asked = [agent.process(Message(role="user", content=f"call {i}")) for i, agent in enumerate(agents)]
    for i, reply in enumerate(await asyncio.gather(*asked)):
        expect(f"call {i} of {CALLS}: {reply.content}", reply.content == f"call {i}")
    await asyncio.gather(*[agent.close() for agent in agents])


async def main():
    for check in (replies, errors, streams, at_once):
        await asyncio.wait_for(check(sys.argv[1]), 30)


asyncio.run(main())
sys.exit(failures != 0)
