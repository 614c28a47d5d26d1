"""How the interface's description tells of a route: parameters, answers, who may call it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter, RawBody
from litestar.utils.signature import get_fn_type_hints

from pss_api.idempotency_key import IDEMPOTENCY_KEY
from pss_api.problems import ProblemDocument
from pss_kernel.answers import Answer, Content
from pss_kernel.plugin import Route

__all__ = ["HEADERS", "describe", "description_of", "refusals", "screens_of"]

_LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length")
# Read by the kernel; declared so that the OpenAPI document has them.
HEADERS = {
    "pss_tenant": Annotated[
        str | None,
        HeaderParameter(
            name="PSS-Tenant",
            description="The tenant's code, where the host name is not a tenant's own.",
        ),
    ],
    "idempotency_key": IDEMPOTENCY_KEY,
    "pss_version": Annotated[
        str | None,
        HeaderParameter(
            name="PSS-Version",
            description="The version of this interface (a date) that the request is written for.",
        ),
    ],
    "pss_position": Annotated[
        str | None,
        HeaderParameter(
            name="PSS-Position",
            description="As the answer to your last write said; then this shows what you wrote.",
        ),
    ],
}
_REFUSALS = {
    400: "The request can't be read",
    401: "Credentials are needed",
    403: "These credentials may not do this",
    404: "Not found, or not enabled for this tenant",
    408: "The body took too long to arrive; retry",
    409: "The state does not allow this",
    410: "It has ended: an offer or a quote whose time is over, or a tenant that has left",
    413: "The body is larger than this operation accepts",
    415: "The body is said to be of another type than JSON",
    422: "Some values are not valid; `errors` lists every one",
    429: "Too many requests; `Retry-After` says when to try again",
    503: "Temporarily unavailable; retry",
}


def refusals() -> dict[int, ResponseSpec]:
    """What each operation may be answered with beside its own: problem documents."""
    return {
        status: ResponseSpec(
            ProblemDocument,
            description=meaning,
            generate_examples=False,
            media_type="application/problem+json",
        )
        for status, meaning in _REFUSALS.items()
    }


def describe(endpoint: Callable[..., Any], declared: Route, returns: Any) -> None:
    """Give the endpoint the function's signature, less what the kernel fills in."""
    function = declared.function
    hints = get_fn_type_hints(function)
    in_path = set(re.findall(r"{(\w+):", declared.path))
    parameters = [
        parameter.replace(
            kind=inspect.Parameter.KEYWORD_ONLY,
            annotation=_placed(name, hints.get(name, Any), in_path),
        )
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in {"uow", "work"}
    ]
    # Litestar fills a parameter of the type Request whatever else is asked for.
    parameters.append(
        inspect.Parameter(
            "request", inspect.Parameter.KEYWORD_ONLY, annotation=Request[Any, Any, Any]
        )
    )

    described = {"pss_tenant", "pss_version"}
    if declared.method == "POST":
        described.add("idempotency_key")
    if declared.read_only:
        described.add("pss_position")
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=None)
        for name, annotation in HEADERS.items()
        if name in described
    ]

    answer = Response[bytes] if returns is Content else Response[_answered(returns)]  # type: ignore[misc]
    endpoint.__signature__ = inspect.Signature(parameters, return_annotation=answer)  # type: ignore[attr-defined]
    endpoint.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": answer}
    endpoint.__module__ = function.__module__
    endpoint.__name__ = function.__name__


def _placed(name: str, hint: Any, in_path: set[str]) -> Any:
    """Say where a parameter comes from: the path, the body (``data``) or else the query."""
    if name == "body":  # Litestar's name, and its type, for the raw bytes
        return RawBody
    if name == "data" and (screens_of(hint) or not hasattr(hint, "__metadata__")):
        return JSONBody[hint]  # type: ignore[misc]  # an alias made at run time
    place = PathParameter if name in in_path else QueryParameter
    given = getattr(hint, "__metadata__", ())
    if any(isinstance(one, place) for one in given):
        return hint
    limits: dict[str, Any] = {}
    for one in given:
        if isinstance(one, msgspec.Meta):  # Litestar has the same limits under the same names
            limits |= {
                name: getattr(one, name)
                for name in (*_LIMITS, "pattern", "title", "description")
                if getattr(one, name) is not None
            }
    return Annotated[hint, place(**limits)]


def screens_of(hint: Any) -> list[Callable[[bytes], object]]:
    """What stands beside the type of ``data``: ``Annotated[NewPayment, refuse_card_numbers]``."""
    return [one for one in getattr(hint, "__metadata__", ()) if callable(one)]


def _answered(returns: Any) -> Any:
    """The type inside ``Answer[T]``, or the type itself."""
    if getattr(returns, "__origin__", None) is Answer:
        return returns.__args__[0]
    return returns


def description_of(declared: Route, *, guest: bool) -> str:
    """The route's own words, then who may call it and which plugin brings it."""
    text = inspect.getdoc(declared.function) or ""
    who = "Open to guests." if guest else "For staff and integrators."
    if declared.read_only:
        text += "\n\nMay come from a replica, a moment behind."
    return f"{text}\n\n{who} Permission `{declared.permission}`, plugin `{declared.plugin}`."
