"""The whole demonstration on servers of its own choice, not the embedded ones."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pss_outside.airlines import trimmed

_DAYS = 20  # of flights: the demonstration looks for a seat to sell out in three weeks' time


@pytest.mark.xdist_group("servers")
async def test_demonstration_on_postgresql_and_rabbitmq(
    server_database: dict[str, Any], amqp_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Both airlines sell, ticket, check in and board with data and events on real servers."""
    variables = {f"PSS_{name.upper()}": value for name, value in server_database.items()}
    tenants = trimmed(tmp_path / "tenants", days=_DAYS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pss_kernel.cli", "demo", "--json"),
        *("--data-dir", str(tmp_path / "var"), "--tenants", str(tenants)),
        env=os.environ | variables | {"PSS_AMQP_URL": amqp_url, "PSS_REDIS_URL": redis_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert 0 == process.returncode, err.decode()
    summary = json.loads(out)
    assert summary["succeeded"]
    assert {"aurelis", "pipit"} == {one["tenant"] for one in summary["airlines"]}
