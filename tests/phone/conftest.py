"""Three phones on loopback."""

from collections.abc import AsyncIterator

import pytest

from tests.phone.phones import Phone, running


@pytest.fixture
async def alice() -> AsyncIterator[Phone]:
    async with running("alice") as phone:
        yield phone


@pytest.fixture
async def bob() -> AsyncIterator[Phone]:
    async with running("bob") as phone:
        yield phone


@pytest.fixture
async def carol() -> AsyncIterator[Phone]:
    async with running("carol") as phone:
        yield phone
