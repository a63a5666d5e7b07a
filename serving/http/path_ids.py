"""The convertors of ids in paths: any text, with the slashes that the client encoded."""

from starlette.convertors import Convertor, register_url_convertor
from typing_extensions import override

from serving.http.middleware.encoded_slashes import unmarked

BELOW_A_LEAD = ("aliases", "score", "scores")
"""The paths below a lead."""


class AnyText(Convertor[str]):
    """Any text at the end of a path; Starlette's own `path` stops at a line break."""

    regex = r"[\s\S]*"

    @override
    def convert(self, value: str) -> str:
        return unmarked(value)

    @override
    def to_string(self, value: str) -> str:
        return value


class LeadId(AnyText):
    """Any text except the paths below a lead, which have routes of their own."""

    regex = rf"(?![\s\S]*/(?:{'|'.join(BELOW_A_LEAD)})\Z)[\s\S]*"


# A route compiles its path when it is declared, so the convertors are known from the import of this module on.
register_url_convertor("text", AnyText())
register_url_convertor("lead", LeadId())
LEAD_ID = "{lead_id:text}"
"""A lead's id in the middle of a path, or at its end where nothing lies below."""


def record_id(kind_name: str) -> str:
    """A record's id at the end of a path."""
    return "{id:lead}" if kind_name == "leads" else "{id:text}"
