"""The asyncio shell: the only place with sockets and the loop's clock."""
