"""Personal data: the export and the erasure of one person's data, and the retention limits."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from app import console
from app.commands.options import Actor, Json, UsageError, actor_or_user, wiring
from app.wiring import now
from operations.subjects import InvalidSubject, Subject

app = typer.Typer(
    no_args_is_help=True,
    help="Export, erase and expire personal data.",
    epilog="Example: eql privacy retention --dry-run",
)
Email = Annotated[str | None, typer.Option("--email", metavar="ADDRESS", help="The person's e-mail address.")]
Domain = Annotated[
    str | None, typer.Option("--domain", metavar="DOMAIN", help="A domain, such as that of a sole trader.")
]


@app.command("export", epilog="Example: eql privacy export --email ada@company.example --out ada.ndjson")
def export(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A new file; only you can read it.")],
    email: Email = None,
    domain: Domain = None,
    as_json: Json = False,
) -> None:
    """Write all data of the store about a person or a domain, one JSON line for each row."""
    from serving.privacy import subject_rights

    subject = _subject(email, domain)
    if out.exists():
        raise ValueError(f"{out} exists already; name a new file")
    lines = subject_rights.export(wiring().engine, subject)
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            rows = sum(file.write(f"{json.dumps(line, ensure_ascii=False)}\n") > 0 for line in lines)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    console.emit({"file": str(out), "rows": rows}, f"{out}: {rows:,} rows", as_json)


@app.command("erase", epilog='Example: eql privacy erase --email ada@company.example --reason "request 17" --dry-run')
def erase(
    reason: Annotated[str, typer.Option(help="Reason for the log of erasures; it must not name the person.")],
    email: Email = None,
    domain: Domain = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the rows that would be erased, and erase nothing.")
    ] = False,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Erase all data of the store about a person or a domain; erased decisions stay in the sealed chain, emptied."""
    from serving.privacy import subject_rights

    subject = _subject(email, domain)
    subject_rights.check_reason(subject, reason)
    if dry_run:
        scope = subject_rights.survey(wiring().engine, subject)
        result = {"leads": scope.leads, "rows": scope.rows, "dry_run": True}
        console.emit(result, f"would erase {scope.leads:,} leads, {sum(scope.rows.values()):,} rows", as_json)
        return
    done = subject_rights.erase(wiring().engine, subject, actor=actor_or_user(actor), reason=reason, clock=now)
    result = {"id": done.id, "leads": done.counts.leads, "rows": done.counts.rows, "remains": done.remains}
    text = f"erasure {done.id}: {done.counts.leads:,} leads, {sum(done.counts.rows.values()):,} rows"
    console.emit(result, text, as_json)
    if done.remains:
        raise ValueError(
            "the files of the store still hold erased data, because a reader uses an older state of the store; "
            "run the erasure again"
        )


@app.command("retention", epilog="Example: eql privacy retention --dry-run")
def retain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the rows that would be deleted, and delete nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete data older than the EQL_RETENTION_* settings allow; the worker does this every night."""
    from serving.privacy.retention import purge, rehearse

    run = rehearse if dry_run else purge
    done = run(wiring().engine, wiring().settings.retention, now())
    rows = [[name, f"{count:,}"] for name, count in done.items()]
    title = "Would be deleted" if dry_run else "Deleted"
    console.emit({"dry_run": dry_run, "deleted": dict(done)}, console.table(title, ["data", "rows"], rows), as_json)


def _subject(email: str | None, domain: str | None) -> Subject:
    if (email is None) == (domain is None):
        raise UsageError("give either --email or --domain")
    try:
        return Subject(email, domain)
    except InvalidSubject as error:
        raise UsageError(f"--{error}") from None
