"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    SerializationException,
    ValidationException,
)
from litestar.types import ExceptionHandlersMap
from litestar.utils.scope.state import ScopeState

from pss_api.denials import note_denial
from pss_api.limits import note_limits
from pss_api.versions import pointers_as_sent
from pss_kernel.errors import (
    BadRequest,
    FieldError,
    Invalid,
    NotFound,
    Problem,
    StepUpRequired,
    TooManyRequests,
)
from pss_kernel.limits import Taken
from pss_kernel.persistence import database_problem
from pss_kernel.validation import explain

__all__ = ["HANDLERS", "ProblemDocument", "problem_response"]

_log = structlog.get_logger("pss.http")
_BAD_TOKEN = {"unknown-credentials", "token-expired", "session-ended"}
_MANY_BRACKETS = 300
_MEDIA_TYPE = "application/problem+json"


class ProblemDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What every error looks like; ``code`` is stable, ``detail`` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    retryable: bool
    errors: list[FieldError] = []
    mend: str | None = None


def problem_response(problem: Problem, request_id: str, status: int | None = None) -> Response[Any]:
    """The problem as an HTTP answer."""
    status = status or problem.status
    document = ProblemDocument(
        type=f"/problems/{problem.code}",
        title=problem.title,
        status=status,
        detail=problem.detail,
        code=problem.code,
        request_id=request_id,
        retryable=problem.retryable,
        errors=problem.errors,
        mend=problem.mend,
    )
    headers = {"PSS-Request-Id": request_id}
    if problem.retryable:
        headers["Retry-After"] = str(problem.retry_after)
    if status == 401:  # noqa: PLR2004 - RFC 9110 wants the challenge with it
        headers["WWW-Authenticate"] = _challenge(problem)
    elif isinstance(problem, StepUpRequired):
        headers["WWW-Authenticate"] = _step_up(problem)
    return Response(document, status_code=status, media_type=_MEDIA_TYPE, headers=headers)


def _challenge(problem: Problem) -> str:
    """With the reason (RFC 6750, section 3.1), where credentials were sent that are not good."""
    if problem.code in _BAD_TOKEN:
        return f'Bearer realm="pss", error="invalid_token", error_description="{problem.detail}"'
    return 'Bearer realm="pss"'


def _step_up(problem: StepUpRequired) -> str:
    """The challenge of RFC 9470, section 3."""
    return (
        'Bearer realm="pss", error="insufficient_user_authentication", '
        f'error_description="{problem.detail}", max_age="{problem.max_age}"'
    )


def _request_id(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get("pss_request_id", ""))


def _known(request: Request[Any, Any, Any], error: Problem) -> Response[Any]:
    if isinstance(error, TooManyRequests) and isinstance(error.taken, Taken):
        note_limits(request.scope, error.taken)
    note_denial(request.scope, error.status, error.code)
    error.errors = _as_sent(request, error.errors)
    return problem_response(error, _request_id(request))


def _as_sent(request: Request[Any, Any, Any], errors: list[FieldError]) -> list[FieldError]:
    """Errors that point at the fields as a caller of an older version has sent them."""
    changes: Any = request.scope.get("pss_changes", ())
    return pointers_as_sent(changes, errors) if changes and errors else errors


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    status = error.status_code
    if isinstance(error, NotFoundException):
        problem: Problem = NotFound(f"There is nothing at {request.url.path}.")
    elif isinstance(error, MethodNotAllowedException):
        problem = BadRequest(
            f"{request.method} is not possible at {request.url.path}.", code="method-not-allowed"
        )
    elif status == 413:  # noqa: PLR2004 - named by the next line
        problem = BadRequest("The body is larger than this service accepts.", code="too-large")
    elif isinstance(error.__cause__, SerializationException | msgspec.DecodeError):
        problem = BadRequest(f"The body is not JSON: {error.detail}.", code="not-json")
    else:
        problem = BadRequest(error.detail, code="bad-request")
    return problem_response(problem, _request_id(request), status)


def _validation(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Say everything that is wrong with a body or the parameters, not the first thing only."""
    request_id = _request_id(request)
    route_handler = request.route_handler
    field = getattr(route_handler, "parsed_data_field", None)
    if field is not None:
        try:
            value = _body(request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            problem: Problem = BadRequest("The body is not JSON.", code="not-json")
            return problem_response(problem, request_id)
        errors = explain(value, field.raw)
        if errors:
            return problem_response(Invalid(errors=_as_sent(request, errors)), request_id)
    errors = [
        FieldError(
            pointer=f"/{one.get('key', '')}",
            detail=f"{str(one.get('message', 'invalid')).rstrip('.')}.",
            code="invalid",
        )
        for one in getattr(error, "extra", None) or []
        if isinstance(one, dict)
    ]
    detail = "" if errors else str(getattr(error, "detail", "")) or "The request can't be read."
    return problem_response(Invalid(detail, errors=errors), request_id)


def _body(request: Request[Any, Any, Any]) -> Any:
    """Decode the body once more; it was read before its types were checked."""
    body = ScopeState.from_scope(request.scope).body
    return msgspec.json.decode(body if isinstance(body, bytes) else b"")


def _brackets(request: Request[Any, Any, Any]) -> int:
    body = ScopeState.from_scope(request.scope).body
    return body.count(b"[") + body.count(b"{") if isinstance(body, bytes) else 0


def _unreadable(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Tell a body that can't be read from a mistake of ours that looks the same."""
    said = ""
    try:
        _body(request)
        if isinstance(error, RecursionError) and _brackets(request) > _MANY_BRACKETS:
            # Read as plain JSON it may just fit, read into a type it did not.
            said = "The body is nested too deeply."
    except RecursionError:
        said = "The body is nested too deeply."
    except UnicodeDecodeError:
        said = "The body is not UTF-8 text."
    except msgspec.DecodeError:
        pass
    if not said:
        return _unexpected(request, error)
    return problem_response(BadRequest(said, code="not-json"), _request_id(request))


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    request_id = _request_id(request)
    problem = database_problem(error)
    if problem is not None:
        _log.warning("unavailable", code=problem.code, request_id=request_id)
        return problem_response(problem, request_id)
    _log.error("request_failed", request_id=request_id, path=request.url.path, exc_info=error)
    return problem_response(
        Problem("Something went wrong on our side; the request id tells us what."), request_id
    )


HANDLERS: ExceptionHandlersMap = {
    Problem: _known,
    ValidationException: _validation,
    SerializationException: _validation,
    ClientException: _http,
    HTTPException: _http,
    RecursionError: _unreadable,
    UnicodeDecodeError: _unreadable,
    Exception: _unexpected,
}
