"""A notebook as its kernel sees it: cells that a person types, one after the other."""

from contextlib import asynccontextmanager

from jupyter_client.manager import start_new_async_kernel


@asynccontextmanager
async def open_notebook(folder, **options):
    """A kernel of its own in a folder. Gives a function that runs a cell, and returns what it has
    printed and shown; a cell that fails raises its traceback.

    Arguments: folder; options, of the kernel's process.
    """
    manager, client = await start_new_async_kernel(cwd=str(folder), **options)

    async def run(source):
        shown = []

        def keep(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"])
            elif "data" in content:
                shown.append(content["data"].get("text/html") or content["data"]["text/plain"])

        reply = await client.execute_interactive(source, output_hook=keep, timeout=300)
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
        return "".join(shown)

    try:
        yield run
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
