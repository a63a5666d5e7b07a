"""An upload: a partner's list after matching, without the overlaps that users marked as wrong, and its counts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from features.overlap.partner_list import PartnerList
from features.overlap.shared_customers import MatchedList


@dataclass(frozen=True)
class Upload:
    """A partner's list and its matches.

    Attributes:
        listed: the list as it was read.
        matched: the list after matching.
        wrong_accounts: the accounts that the partner's lists must not match; see
            `features.overlap.shared_customers.accounts_marked_wrong`.
    """

    listed: PartnerList
    matched: MatchedList
    wrong_accounts: frozenset[str]

    @property
    def rows(self) -> int:
        """The number of rows of the list."""
        return len(self.listed.companies) + self.rejected

    @property
    def rejected(self) -> int:
        """The number of rejected rows."""
        return len(self.listed.rejections)

    @cached_property
    def kept(self) -> MatchedList:
        """The matches without the accounts marked as wrong."""
        return self.matched.without(self.wrong_accounts)

    @property
    def marked_wrong(self) -> int:
        """The number of overlaps left out because they are marked as wrong."""
        return len(self.matched.overlaps) - len(self.kept.overlaps)

    @property
    def matched_by(self) -> Mapping[str, int]:
        """The number of kept overlaps that match by `domain` and by `name`."""
        counts = Counter(overlap.match.by for overlap in self.kept.overlaps)
        return {"domain": counts["domain"], "name": counts["name"]}
