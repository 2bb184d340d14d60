"""What the engine refuses with: a code for programs, a sentence for people, an HTTP status."""

from __future__ import annotations

BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT, UNPROCESSABLE, UNAVAILABLE = 400, 403, 404, 409, 422, 503


class Refused(Exception):
    """Nothing was changed. `field` names what of the request was wrong, where one thing was."""

    def __init__(self, status: int, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
