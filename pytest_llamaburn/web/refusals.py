"""What the API answers to what it refuses: a status, one sentence, and the field at fault."""

from pydantic import BaseModel


class Problem(BaseModel):
    """Why a request was refused; `field` is the field or parameter that the sentence is about."""

    detail: str
    field: str | None = None


class Refusal(Exception):  # noqa: N818 - the field's word for an error that is the client's
    """A request that is refused."""

    def __init__(self, status: int, detail: str, field: str | None = None) -> None:
        """Take the HTTP status, one sentence, and the field it is about."""
        super().__init__(detail)
        self.status, self.problem = status, Problem(detail=detail, field=field)
