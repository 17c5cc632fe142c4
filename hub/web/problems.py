"""HTTP errors as problem+json (RFC 9457): what happened, and what to do next."""

from __future__ import annotations

from typing import Any

import psycopg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from psycopg_pool import PoolTimeout

from gate.common.seldom import Seldom
from hub.db.connection import is_outage, one_line

_log = structlog.get_logger()


class Problem(HTTPException):
    """A refusal. `detail` says what to do."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        headers: dict[str, str] | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail=detail, status_code=status, headers=headers)
        self.title = title
        self.more = more or {}


def on_http_error(_request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """A refusal by us or by the framework."""
    title = getattr(error, "title", type(error).__name__.removesuffix("Exception"))
    return _response(error.status_code, str(title), error.detail, error.headers, getattr(error, "more", {}))


def on_database_error(
    request: Request[Any, Any, Any], error: psycopg.Error | PoolTimeout
) -> Response[dict[str, Any]]:
    """Postgres is away: the gate goes on with what it has, and asks again."""
    if isinstance(error, psycopg.Error) and not is_outage(error):
        return on_any_error(request, error)
    _say(request, "warning", "database unavailable", error=one_line(error))
    detail = "The hub's database does not answer. Nothing is lost; ask again in a few seconds."
    return _response(503, "Database unavailable", detail, {"Retry-After": "5"})


def on_any_error(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A bug: logged in full, answered without anything that could be secret."""
    _say(request, "error", f"request failed: {type(error).__name__}", exc_info=error)
    return _response(500, "Internal error", "This is a fault of the hub; its log says more.", None)


def _say(request: Request[Any, Any, Any], level: str, event: str, **fields: Any) -> None:
    """Logged seldom, because anybody can repeat the request."""
    seldom: Seldom = request.app.state.seldom
    seldom.say(getattr(_log, level), event, path=request.url.path, **fields)


def _response(
    status: int, title: str, detail: str, headers: dict[str, str] | None, more: dict[str, Any] | None = None
) -> Response[dict[str, Any]]:
    body = (more or {}) | {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Response(body, status_code=status, headers=headers, media_type="application/problem+json")
