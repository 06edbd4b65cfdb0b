"""`harness export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.main import Settings
from harness.cli.options import as_json, print_json
from harness.cli.show import find_run
from harness.errors import NotFoundError

if TYPE_CHECKING:
    from harness.store.records import MembershipRecord
    from harness.store.store import Store


@click.command()
@click.argument("run_id")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@as_json
@click.pass_obj
def export(settings: Settings, run_id: str, folder: Path, as_json: bool) -> None:
    """Copy a run's trained adapter into a folder, in PEFT's format with a model card.

    RUN_ID may be shortened as long as it means one run. DIR must be new or empty: `PeftModel.from_pretrained` and the
    hub take it as it is. The weights are compared with the recorded fingerprint first. Where they are no longer kept,
    the commands that train them again are told.
    """
    from harness.pipeline.handing_over import again, base_of, hand_over, is_whole, kept_weights, prove_kept
    from harness.report.card import model_card
    from harness.store.store import open_store

    with open_store(settings.db, read_only=True) as store:
        record = find_run(store, run_id)
        place = _place(store, record.run_id)
        kept = kept_weights(record, place)
        prove_kept(kept, record.training.provenance.get("saved") if record.training else None)
        card = model_card(store, record, place, base_of(kept), again(record, place))
    tokenizer_of = (record.model, record.spec["model"]["revision"]) if is_whole(kept) else None
    files = hand_over(kept, folder.absolute(), card, tokenizer_of)
    told = {"run_id": record.run_id, "train_id": record.train_id, "directory": str(folder), "files": files}
    if as_json:
        print_json(told)
    else:
        click.echo(f"{record.run_id}: {', '.join(files)} in {folder}")


def _place(store: Store, run_id: str) -> MembershipRecord:
    """The run's place in the experiment that asked for it last. Raises NotFoundError where none does."""
    places = store.memberships(run_ids=[run_id])
    if not places:
        raise NotFoundError(f"run {run_id} belongs to no experiment; harness db check tells what is wrong")
    return places[0]
