"""What a call may raise: one root, and what the server said as far as it said anything."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "ApiProblem",
    "FieldProblem",
    "OrderNotTicketed",
    "PssError",
    "UnexpectedAnswer",
    "Unreachable",
]


class PssError(Exception):
    """The root of all errors of this package."""


class Unreachable(PssError):  # noqa: N818 - named for what happened, as all below
    """No answer came, also not when it was asked again.

    What was asked may have been done: repeat it with the same Idempotency-Key.
    """


class UnexpectedAnswer(PssError):  # noqa: N818 - see above
    """An answer that is not one of this interface: something else listens at that address."""


class OrderNotTicketed(PssError):  # noqa: N818 - see above
    """The order was not ticketed in the time given, or never will be in its ``status``."""

    def __init__(self, message: str, *, order_id: str, status: str) -> None:
        self.order_id = order_id
        self.status = status
        super().__init__(message)


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One failing field: ``pointer`` is a JSON pointer (RFC 6901) into what was sent."""

    pointer: str
    detail: str
    code: str = "invalid"


class _Document(msgspec.Struct, kw_only=True):
    """A problem document of RFC 9457 with this interface's own members."""

    title: str = ""
    detail: str = ""
    code: str = ""
    request_id: str = ""
    retryable: bool = False
    errors: list[FieldProblem] = []
    mend: str | None = None


class ApiProblem(PssError):  # noqa: N818 - RFC 9457 calls it a problem
    """A refusal, as an RFC 9457 problem document.

    ``code`` is stable and what a program decides by (``sold-out``, ``offer-expired``, …);
    ``detail`` and ``mend`` are sentences for people; ``errors`` has every failing field;
    ``retryable`` says that the same request may succeed later; ``request_id`` is what the
    airline's support asks for.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        errors: list[FieldProblem] | None = None,
        retryable: bool = False,
        request_id: str = "",
        mend: str | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors or []
        self.retryable = retryable
        self.request_id = request_id
        self.mend = mend
        fields = "".join(f" {one.pointer}: {one.detail}" for one in self.errors)
        super().__init__(f"{detail}{f' {mend}' if mend else ''}{fields} [{code}]")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (vars(self),)

    @classmethod
    def from_answer(cls, status: int, content: bytes) -> ApiProblem:
        """Read the document. Raises UnexpectedAnswer when it is none."""
        try:
            document = msgspec.json.decode(content, type=_Document)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnexpectedAnswer(f"HTTP {status} came without a problem document.") from error
        if not document.code:
            raise UnexpectedAnswer(f"HTTP {status} came without a problem's code.")
        return cls(
            status=status,
            code=document.code,
            detail=document.detail or document.title,
            errors=document.errors,
            retryable=document.retryable,
            request_id=document.request_id,
            mend=document.mend,
        )


def _restored(facts: dict[str, Any]) -> ApiProblem:
    return ApiProblem(**facts)
