"""`simulate`: the simulated world as a folder of records, with the true probabilities apart."""

import datetime as dt
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.folder import FolderWriter, Format
from features.provenance import Provenance
from features.records import KINDS
from training.world.account_facts import account_rows, shared_customer_rows, usage_rows
from training.world.chunk import CHUNK, Chunk, RecordRows, Setting, Streams, draw_chunk
from training.world.deal_facts import deal_rows
from training.world.lead_facts import buying_signal_rows, confirmation_rows, lead_rows, referral_rows
from training.world.partner_facts import agreement_rows, exchange_rate_rows, partner_rows, spend_rows
from training.world.partners import draw_partners
from training.world.switches import PLAIN, Switches
from training.world.touchpoint_facts import touchpoint_rows
from training.world.truth import truth
from training.world.window import SimulatedWindow

TRUTH = Path("truth", "probabilities.parquet")
"""The file in the folder with P(won within the horizon | facts recorded by as_of), by lead_id and as_of.

Beside that `probability` stand `without_partner` and `given_frailty` (`training.world.truth.Truth`).
"""

Progress: TypeAlias = Callable[[str, int], None]
"""Gets the current step, and its number done so far."""

_TRUTH_SCHEMA = pa.schema(
    [
        ("lead_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("probability", pa.float64()),
        ("without_partner", pa.float64()),
        ("given_frailty", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Simulation:
    """The result of a simulation.

    Attributes:
        folder: the folder of the records.
        cut: end of the last day, microseconds; every fact is recorded before it.
        rows: number of rows of each kind of record.
        truths: number of true probabilities.
    """

    folder: Path
    cut: int
    rows: Mapping[str, int]
    truths: int


def simulate(
    folder: Path,
    accounts: int,
    seed: int,
    until: dt.date,
    format: Format = "parquet",
    progress: Progress = lambda _what, _done: None,
    switches: Switches = PLAIN,
) -> Simulation:
    """Write two years of an ecosystem that end with the day `until`, in bounded memory.

    The same arguments give the same rows. The records of the first accounts do not depend on the number of accounts.

    Args:
        folder: where to write; absent or empty.
        accounts: the number of accounts, from 1.
        seed: random seed, from 0.
        until: the last day.
        format: of the records; the true probabilities are always Parquet, at `TRUTH`.
        progress: gets "accounts" and the number written, after each chunk.
        switches: the switches that make the world harder; `training.world.frozen.WORLDS` names some.

    Raises:
        ValueError: an argument is out of range.
        FolderError: the folder is not empty.
    """
    for name, value, least in (("accounts", accounts, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} must be {least} or more, not {value}")
    window = SimulatedWindow.ending(until)
    rng = _generator(seed, 0)
    setting = Setting(window, switches, draw_partners(rng, window))
    written: Counter[str] = Counter()
    truths = 0
    with FolderWriter(folder, Provenance(window.cut), format) as writer, _truth_file(folder) as truth_file:
        _write(writer, written, _world_rows(rng, setting, accounts))
        for place, first in enumerate(range(1, accounts + 1, CHUNK), 1):
            streams = Streams(_generator(seed, place), _generator(seed, place, 1))
            chunk = draw_chunk(streams, setting, first, accounts)
            _write(writer, written, _chunk_rows(chunk, streams.plain))
            truths += _write_truth(truth_file, chunk)
            progress("accounts", min(first + CHUNK - 1, accounts))
    return Simulation(folder, window.cut, dict(written), truths)


def _generator(seed: int, *place: int) -> np.random.Generator:
    """The random numbers of the world (place 0), of one chunk (from 1), or of a part of it; independent streams."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))


def _world_rows(rng: np.random.Generator, setting: Setting, accounts: int) -> Mapping[str, RecordRows]:
    window, partners = setting.window, setting.partners
    return {
        "partners": partner_rows(window, partners),
        "agreements": agreement_rows(window, partners),
        "spend": spend_rows(rng, window, accounts),
        "exchange_rates": exchange_rate_rows(rng, window),
    }


def _chunk_rows(chunk: Chunk, rng: np.random.Generator) -> Mapping[str, RecordRows]:
    lead_events, payouts = deal_rows(chunk, rng)
    return {
        "accounts": account_rows(chunk, rng),
        "shared_customers": shared_customer_rows(chunk),
        "integration_usage": usage_rows(chunk, rng),
        "leads": lead_rows(chunk, rng),
        "referrals": referral_rows(chunk),
        "confirmations": confirmation_rows(chunk, rng),
        "buying_signals": buying_signal_rows(chunk, rng),
        "touchpoints": touchpoint_rows(chunk, rng),
        "lead_events": lead_events,
        "payouts": payouts,
    }


def _write(writer: FolderWriter, written: Counter[str], rows_by_kind: Mapping[str, RecordRows]) -> None:
    for name, rows in rows_by_kind.items():
        writer.write(KINDS[name], _counted(rows, name, written))


def _counted(rows: RecordRows, name: str, written: Counter[str]) -> RecordRows:
    for row in rows:
        written[name] += 1
        yield row


@contextmanager
def _truth_file(folder: Path) -> Iterator[pq.ParquetWriter]:
    """The file of true probabilities; removed again where the simulation fails."""
    path = folder / TRUTH
    path.parent.mkdir()
    try:
        with pq.ParquetWriter(path, _TRUTH_SCHEMA) as file:
            yield file
    except BaseException:
        shutil.rmtree(path.parent)
        raise


def _write_truth(file: pq.ParquetWriter, chunk: Chunk) -> int:
    truths = truth(chunk)
    ids = [chunk.lead_ids[lead] for lead in truths.lead.tolist()]
    values = (ids, truths.as_of, truths.probability, truths.without_partner, truths.given_frailty)
    columns = zip(values, _TRUTH_SCHEMA.types, strict=True)
    file.write_table(pa.Table.from_arrays([pa.array(*column) for column in columns], schema=_TRUTH_SCHEMA))
    return len(ids)
