"""``python -m pss_payment_sandbox``: run the sandbox card network."""

import argparse
import asyncio
from pathlib import Path

from .network.server import serve


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pss_payment_sandbox", description="Run the sandbox card network."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one and prints it")
    parser.add_argument(
        "--state",
        type=Path,
        default=Path("payment-sandbox.sqlite"),
        help="file of the charges, or a folder for payment-sandbox.sqlite",
    )
    parser.add_argument("--public-url", help="where browsers reach it; default: where it listens")
    parser.add_argument(
        "--slow-answer-seconds",
        type=float,
        default=30.0,
        help="how late the answers for tok_timeout and its kin come",
    )
    return parser.parse_args()


def main() -> None:
    """Serve until told to stop."""
    given = _arguments()
    state = given.state / "payment-sandbox.sqlite" if given.state.is_dir() else given.state
    state.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(given.host, given.port, state, given.public_url, given.slow_answer_seconds))


if __name__ == "__main__":
    main()
