"""The model that a run scores: trained now, kept from before, named by the experiment, or the bare base."""

from __future__ import annotations

from shutil import rmtree
from typing import TYPE_CHECKING

from harness.errors import PrerequisiteError, RunError
from harness.pipeline.plan import adapter_kept
from harness.pipeline.sole import sole
from harness.spec.run import LoadedRef
from harness.store.records import TrainResult

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from harness.pipeline.execute import Work
    from harness.train.live import Guard

    Ready = tuple[PreTrainedModel | PeftModel, Guard]

MENDED = "remove that folder, and the same command trains it again"


def make_ready(work: Work, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Ready:
    """The model to score, proved to be the right one, and the guard that holds it so until the last score.

    What was trained is recorded once it is proved. One worker at a time has the same weights in hand. Raises
    RunError("internal") where the model is not what it should be, PrerequisiteError where what was kept is not, and
    what training and loading raise.
    """
    if work.run.adapter.loads is not None:
        return _existing(work, work.run.adapter.loads, base, tokenizer)
    if work.run.adapter.trains == "nothing":
        return _bare(work, base, tokenizer)
    with sole(work):
        state = work.store.states([work.run.run_id])[work.run.run_id]
        return (_kept if adapter_kept(work.run, state.trained) else _trained)(work, base, tokenizer)


def _bare(work: Work, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Ready:
    from harness.train.live import Guard

    guard = Guard(base, tokenizer, work.bench.fingerprint)
    guard.prove()
    nothing = TrainResult(0.0, 0, 0, None, 0, base.num_parameters(), 0.0)
    work.store.record_training(work.claim, work.run.train_id, nothing)
    return base, guard


def _existing(work: Work, named: LoadedRef, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Ready:
    from harness.train.existing import load_existing
    from harness.train.live import Guard

    model, found = load_existing(base, work.run.model, named)
    guard = Guard(model, tokenizer)
    guard.prove()
    work.store.record_training(work.claim, work.run.train_id, found)
    return model, guard


def _kept(work: Work, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Ready:
    from safetensors import SafetensorError

    from harness.train.adapter import load_adapter
    from harness.train.live import Guard, prove_same

    run = work.run
    rmtree(work.paths.checkpoints, ignore_errors=True)  # of a worker that died once the training was recorded
    saved = work.store.trainings([run.train_id])[run.train_id].provenance.get("saved")
    try:
        model = load_adapter(base, work.paths.adapter, run.adapter)
        prove_same(model, saved)
    except (SafetensorError, OSError, ValueError) as error:  # a folder without weights is taken for a hub id
        raise PrerequisiteError(f"{work.paths.adapter} can't be read ({_first_line(error)}); {MENDED}") from error
    except RunError as error:
        raise PrerequisiteError(f"{work.paths.adapter}: {error}; {MENDED}") from error
    guard = Guard(model, tokenizer)
    guard.prove()
    return model, guard


def _trained(work: Work, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Ready:
    from harness.train.live import Guard
    from harness.train.training import train

    run = work.run
    work.store.beat(work.claim, "train")
    work.emit({"event": "stage", "stage": "train"})
    result, model = train(
        run,
        work.paths,
        base,
        tokenizer,
        emit=work.emit,
        should_stop=work.ends,
        make_rows=work.bench.rows.prepare,
        keep_checkpoints=True,
        before_saving=work.hold,
    )
    guard = Guard(model, tokenizer, result.provenance["weights"])
    guard.prove()
    work.record_training(result)
    rmtree(work.paths.checkpoints, ignore_errors=True)
    return model, guard


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
