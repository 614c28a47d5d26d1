"""One root for every error that a person or a program may meet.

Each carries a stable ``code`` (kebab-case), a sentence in ``detail`` that says what is wrong,
and, where there is something to do, how to mend it. The HTTP layer turns them into RFC 9457
problem documents; the command line prints them in plain words and exits with 2.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

__all__ = [
    "BadRequest",
    "Conflict",
    "FieldError",
    "Forbidden",
    "Gone",
    "IdempotencyMismatch",
    "Invalid",
    "NotFound",
    "PluginBusy",
    "PluginNotEnabled",
    "PluginQuarantined",
    "PluginTooSlow",
    "Problem",
    "ReadOnlyUnit",
    "StepUpRequired",
    "TenantMoving",
    "TenantUnknown",
    "TooManyRequests",
    "TooSlow",
    "Unauthorised",
    "Unavailable",
    "UpstreamBusy",
    "UpstreamOpen",
    "UpstreamRefused",
    "UpstreamUnavailable",
]


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One failing field: ``pointer`` is a JSON pointer (RFC 6901) into what was sent."""

    pointer: str
    detail: str
    code: str = "invalid"


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """The root of all errors raised on purpose."""

    status: ClassVar[int] = 500
    code: str = "internal"
    title: ClassVar[str] = "Something went wrong"
    retryable: bool = False
    retry_after: int = 1
    """Seconds; told where ``retryable``."""

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        errors: list[FieldError] | None = None,
        mend: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        self.detail = detail or self.title
        self.mend = mend
        self.errors = errors or []
        if code is not None:
            self.code = code
        if retryable is not None:
            self.retryable = retryable
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """What is wrong and, where known, how to mend it."""
        return f"{self.detail} {self.mend}" if self.mend else self.detail


class ReadOnlyUnit(Problem):
    """Code that was given a read-only unit of work tried to write: a mistake in a plugin."""

    code, title = "read-only-unit", "This unit of work may only read"


class BadRequest(Problem):
    """The request can't be read."""

    status, code, title = 400, "bad-request", "The request can't be read"


class TooSlow(Problem):
    """The client took too long over sending its request."""

    status, code, title, retryable = 408, "too-slow", "The request took too long to arrive", True


class TooManyRequests(Problem):
    """A limit is used up; ``retry_after`` says when it no longer is."""

    status, code, title, retryable = 429, "too-many-requests", "Too many requests", True
    taken: object = None
    """The buckets that were looked at; the answer's headers tell of them."""


class Unauthorised(Problem):
    """No credentials, or ones that are not known."""

    status, code, title = 401, "unauthorised", "Credentials are needed"


class Forbidden(Problem):
    """Known credentials that may not do this."""

    status, code, title = 403, "forbidden", "These credentials may not do this"


class StepUpRequired(Forbidden):
    """A person that may do this must prove once more who it is, with a second factor."""

    code, title = "step-up-required", "A fresh second factor is needed"

    def __init__(self, detail: str = "", *, max_age: int, mend: str | None = None) -> None:
        self.max_age = max_age
        """Seconds since the proof, at the most."""
        super().__init__(detail, mend=mend)


class NotFound(Problem):
    """Nothing here under that id for this tenant."""

    status, code, title = 404, "not-found", "Not found"


class PluginNotEnabled(NotFound):
    """The capability is installed but this tenant has not enabled it."""

    code, title = "plugin-not-enabled", "This capability is not enabled here"


class TenantUnknown(NotFound):
    """No tenant answers to that host name or header."""

    code, title = "tenant-unknown", "No such tenant"


class Conflict(Problem):
    """The state of the resource does not allow it (any more)."""

    status, code, title = 409, "conflict", "The state does not allow this"


class Gone(Problem):
    """It existed and has ended."""

    status, code, title = 410, "gone", "No longer available"


class Invalid(Problem):
    """Well-formed but wrong; ``errors`` lists every failing field."""

    status, code, title = 422, "invalid", "Some values are not valid"


class IdempotencyMismatch(Invalid):
    """The same Idempotency-Key was used with another body."""

    code, title = "idempotency-key-reused", "The Idempotency-Key was used with another body"


class Unavailable(Problem):
    """A part that this needs does not answer now; trying again later may work."""

    status, code, title, retryable = 503, "unavailable", "Temporarily unavailable", True


class PluginTooSlow(Unavailable):
    """A plugin's code took longer than its time budget; it was cancelled and undone."""

    code, title = "plugin-too-slow", "A plugin took too long"


class PluginBusy(Unavailable):
    """A plugin has as many units of work open for one tenant as it may have at once."""

    code, title = "plugin-busy", "Too much is going on here at once"


class PluginQuarantined(Unavailable):
    """A plugin kept failing for this tenant and is switched off there until it is released."""

    code, title, retryable = "plugin-quarantined", "This capability is switched off for now", False

    def __init__(self, plugin: str, detail: str = "") -> None:
        self.plugin = plugin
        super().__init__(
            detail or f"The plugin {plugin!r} kept failing here and is in quarantine.",
            mend=f"An operator sees why with 'pss plugin status' and ends it with "
            f"'pss plugin release {plugin} --tenant CODE'.",
        )


class UpstreamUnavailable(Unavailable):
    """Somebody whom this needs gave no answer in time; whether they acted is not known."""

    code, title = "upstream-unavailable", "Somebody whom this needs does not answer"


class UpstreamOpen(UpstreamUnavailable):
    """They have not answered for a while and are left alone for a moment: nothing was sent."""

    code = "upstream-open"


class UpstreamBusy(UpstreamUnavailable):
    """As many calls to them are under way, and wait, as may: nothing was sent."""

    code = "upstream-busy"


class UpstreamRefused(UpstreamUnavailable):
    """The address may not be called from here: nothing was sent."""

    code, title = "upstream-address", "This address is not called"
    retryable = False


class TenantMoving(Unavailable):
    """The tenant is on its way to another database cluster; it can be read, not changed."""

    code, title = "tenant-moving", "It is being moved and can't be changed for the moment"
