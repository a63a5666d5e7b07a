"""Personal data: what the store holds about somebody, given out or erased; and deleting what is over."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from app import console
from app.commands.models import Actor, actor_of
from app.commands.options import Json, UsageError, wiring
from app.wiring import now
from operations.subjects import InvalidSubject, Subject

app = typer.Typer(no_args_is_help=True, help="Personal data.", epilog="Example: eql privacy retention --dry-run")
OfPerson = Annotated[str | None, typer.Option("--email", metavar="ADDRESS", help="The person's e-mail address.")]
OfDomain = Annotated[str | None, typer.Option("--domain", metavar="DOMAIN", help="A domain, as of a sole trader.")]


@app.command("export", epilog="Example: eql privacy export --email ada@company.example --out ada.ndjson")
def export(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A new file, which only you may read.")],
    email: OfPerson = None,
    domain: OfDomain = None,
    as_json: Json = False,
) -> None:
    """Write everything the store holds about somebody, a JSON line for each row."""
    from serving.privacy import subject_rights

    subject = _subject(email, domain)
    if out.exists():
        raise ValueError(f"{out} exists already: name a new file")
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        rows = sum(
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n") > 0
            for line in subject_rights.export(wiring().engine, subject)
        )
    console.emit({"file": str(out), "rows": rows}, f"{out}: {rows:,} rows", as_json)


@app.command("erase", epilog='Example: eql privacy erase --email ada@company.example --reason "request 17" --dry-run')
def erase(
    reason: Annotated[str, typer.Option(help="Why, for the log of erasures; it must not name the person.")],
    email: OfPerson = None,
    domain: OfDomain = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be erased, and erase nothing.")] = False,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Erase what the store holds about somebody, in every version; decisions keep their place in the sealed chain."""
    from serving.privacy import subject_rights

    subject = _subject(email, domain)
    subject_rights.check_reason(subject, reason)
    if dry_run:
        found = subject_rights.survey(wiring().engine, subject)
        result = {"leads": found.leads, "rows": found.rows, "dry_run": True}
        console.emit(result, f"would erase {found.leads:,} leads, {sum(found.rows.values()):,} rows", as_json)
        return
    done = subject_rights.erase(wiring().engine, subject, actor=actor_of(actor), reason=reason, clock=now)
    result = {"id": done.id, "leads": done.counts.leads, "rows": done.counts.rows, "remains": done.remains}
    text = f"erasure {done.id}: {done.counts.leads:,} leads, {sum(done.counts.rows.values()):,} rows"
    console.emit(result, text, as_json)
    if done.remains:
        raise ValueError("somebody reads an earlier state of the store, so its files still hold some of it: repeat it")


@app.command("retention", epilog="Example: eql privacy retention --dry-run")
def retain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Delete what is over, as the settings EQL_RETENTION_* say; the worker does so every night."""
    from serving.privacy.retention import purge, rehearse

    run = rehearse if dry_run else purge
    done = run(wiring().engine, wiring().settings.retention, now())
    rows = [[what, f"{count:,}"] for what, count in done.items()]
    title = "Would be deleted" if dry_run else "Deleted"
    console.emit({"dry_run": dry_run, "deleted": dict(done)}, console.table(title, ["what", "rows"], rows), as_json)


def _subject(email: str | None, domain: str | None) -> Subject:
    try:
        return Subject(email, domain)
    except InvalidSubject as error:
        raise UsageError(f"--{error}") from None
