"""What the system serves: shopping and booking over HTTP.

The limits: an empty handler on the same server (what HTTP alone costs), and pgbench running the
very statements of one request with as many clients (what the database alone would do). Ratios
travel between machines better than absolutes do.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
from figure import Figure, show
from load import Figures, Request, run_load
from statements import Statement, pgbench_script, recorded

from pss_api import create_app
from pss_kernel.cli._children import free_port, wait_until_answering
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.registry import Registry

ROOT = Path(__file__).parents[2]
DATA = ROOT / "var" / "bench"
TENANT = "aurelis"
SECONDS = float(os.environ.get("PSS_BENCH_SECONDS", "6"))
CONNECTIONS = 8
MARKETS_ASKED = 60
HEADERS = {"PSS-Tenant": TENANT}


def figures() -> list[Figure]:
    """Measure with a server of its own, left in ``var/bench`` for the next time."""
    random.seed(7)
    port = free_port()
    say("Starting the server with both airlines (the first time takes longer)")
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "pss_kernel.cli", "serve", "--demo", "--no-worker"),
            *("--port", str(port), "--data-dir", str(DATA)),
        ],
        cwd=ROOT,
        env=os.environ | {"PSS_RATE_LIMITS": "off"},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_answering(
            f"http://127.0.0.1:{port}/health", lambda: server.poll() is None, seconds=300
        )
        return asyncio.run(measure(port))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


async def measure(port: int) -> list[Figure]:
    """All figures, with the server running on that port."""
    config = Config(data_dir=DATA, log_level="warning")
    async with open_installation(config, Registry.discover()) as installation:
        await raise_authorisations(installation)
        shops = await shopping(installation)
        offers = await offers_of(installation, shops)
        shop_statements = await statements_of(installation, shops[0])
        order_statements = await statements_of(installation, order(offers[0]))
        legs = await leg_range(installation)

    say("Measuring the empty handler")
    empty = await load(port, lambda: Request("GET", "/health", headers=HEADERS))
    say("Measuring offer requests")
    shop = await load(port, lambda: random.choice(shops))
    shop_limit = pgbench(pgbench_script(shop_statements, legs=None))
    say("Measuring orders over many flights")
    many = await load(port, lambda: order(random.choice(offers)))
    many_limit = pgbench(pgbench_script(order_statements, legs=legs))
    say("Measuring orders on one flight")
    hot = await load(port, lambda: order(offers[0]))
    hot_limit = pgbench(pgbench_script(order_statements, legs=None))

    same = "pgbench, the same statements"
    bare = "an empty handler"
    return [
        Figure("empty_requests_per_s", empty.per_second, "/s"),
        Figure("offer_requests_per_s", shop.per_second, "/s", shop_limit, same),
        Figure("offer_requests_per_s", shop.per_second, "/s", empty.per_second, bare),
        Figure("offer_requests_p50_ms", shop.percentile(0.50) * 1000, "ms"),
        Figure(
            "offer_requests_p99_ms",
            shop.percentile(0.99) * 1000,
            "ms",
            empty.percentile(0.99) * 1000,
            bare,
        ),
        Figure("offer_request_round_trips", len(shop_statements), ""),
        Figure("orders_per_s", many.per_second, "/s", many_limit, same),
        Figure("orders_per_s", many.per_second, "/s", empty.per_second, bare),
        Figure(
            "orders_p99_ms", many.percentile(0.99) * 1000, "ms", empty.percentile(0.99) * 1000, bare
        ),
        Figure("orders_one_flight_per_s", hot.per_second, "/s", hot_limit, same),
        Figure("orders_one_flight_p99_ms", hot.percentile(0.99) * 1000, "ms"),
        Figure("order_round_trips", len(order_statements), ""),
    ]


async def load(port: int, next_request: Callable[[], Request]) -> Figures:
    """One measurement after a short warm-up. Refused requests would be no measurement."""
    await run_load(port, "localhost", next_request, seconds=1, connections=CONNECTIONS)
    figures = await run_load(
        port, "localhost", next_request, seconds=SECONDS, connections=CONNECTIONS
    )
    refused = {status: n for status, n in figures.statuses.items() if status >= 400}
    if refused:
        sys.exit(f"The server refused requests, so this measured nothing: {refused}")
    return figures


async def raise_authorisations(installation: Installation) -> None:
    """Make room: a flight is not sold out while it is measured."""
    async with installation.unit_of_work(installation.directory.by_code(TENANT)) as uow:
        await uow.hot(
            "UPDATE leg_cabin SET authorised = array_fill(100000000, ARRAY[cardinality(classes)])"
        )


async def shopping(installation: Installation) -> list[Request]:
    """One adult, one way, over many markets and dates of the network."""
    async with installation.unit_of_work(installation.directory.by_code(TENANT)) as uow:
        rows = await uow.hot("SELECT origin, destination FROM market ORDER BY 1, 2")
    pairs = random.sample([tuple(row) for row in rows], MARKETS_ASKED)
    return [
        Request("POST", "/v1/offer-requests", _shop(*pair, days), HEADERS)
        for pair in pairs
        for days in (14, 30)
    ]


def _shop(origin: str, destination: str, days: int) -> dict[str, Any]:
    departure = date.today() + timedelta(days=days)  # noqa: DTZ011 - any day will do
    return {
        "slices": [
            {
                "origin": origin,
                "destination": destination,
                "departure_date": departure.isoformat(),
            }
        ],
        "passengers": [{"type": "adult"}],
    }


async def offers_of(installation: Installation, shops: list[Request]) -> list[str]:
    """An offer of a different flight for each request that finds any, non-stops first."""
    found: dict[str, str] = {}
    async with client(installation) as http:
        for request in shops:
            answer = (await http.post(request.path, json=request.body)).json()
            for offer in answer["offers"]:
                segments = offer["slices"][0]["segments"]
                if len(segments) == 1:
                    found.setdefault(segments[0]["id"], offer["id"])
                    break
    if not found:
        sys.exit("No offers were found to measure with.")
    return list(found.values())


def order(offer_id: str) -> Request:
    """A held order with a key of its own."""
    person = {"type": "adult", "given_name": "Alex", "family_name": "Example"}
    return Request(
        "POST",
        "/v1/orders",
        {"offer_id": offer_id, "passengers": [person], "hold": True},
        HEADERS | {"Idempotency-Key": secrets.token_hex(12)},
    )


async def statements_of(installation: Installation, request: Request) -> list[Statement]:
    """What one request sends to the database, after the connections have warmed up."""
    async with client(installation) as http:
        for _ in range(3):
            await http.post(request.path, json=request.body)
        headers = {"Idempotency-Key": secrets.token_hex(12)}
        with recorded(installation) as statements:
            wants_key = request.headers.keys() & headers.keys()
            answer = await http.post(
                request.path, json=request.body, headers=headers if wants_key else {}
            )
            await asyncio.sleep(0)  # the driver reports what it sent in the loop's next turn
        if answer.is_error:
            sys.exit(f"{request.path} answers {answer.status_code}: {answer.text}")
    return list(statements)


async def leg_range(installation: Installation) -> tuple[int, int]:
    """A range of legs to spread orders over, as the application does over its offers."""
    async with installation.unit_of_work(installation.directory.by_code(TENANT)) as uow:
        ((first,),) = await uow.hot(
            "SELECT min(id) FROM leg WHERE departing_at > now() + interval '2 days'"
        )
    return first, first + MARKETS_ASKED


def client(installation: Installation) -> httpx.AsyncClient:
    """The application in this process."""
    application: Any = create_app(installation)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://bench", headers=HEADERS
    )


def pgbench(script: str) -> float:
    """Transactions a second of a script, with as many clients and the same login."""
    server = EmbeddedPostgres(DATA)
    folder = server.url.partition("host=")[2]
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        finished = subprocess.run(
            [
                *(str(server.program("pgbench")), "--no-vacuum", "--protocol=prepared"),
                *(f"--client={CONNECTIONS}", f"--time={max(int(SECONDS), 1)}"),
                *(f"--file={file.name}", f"--host={folder}", "--username=pss_app", "postgres"),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
    for line in finished.stdout.splitlines():
        if line.startswith("tps = ") and finished.returncode == 0:
            return float(line.split()[2])
    sys.exit(f"pgbench could not run the statements: {finished.stderr[-2000:]}")


def say(sentence: str) -> None:
    """Progress, apart from the figures."""
    sys.stderr.write(f"{sentence}\n")


if __name__ == "__main__":
    show(figures())
