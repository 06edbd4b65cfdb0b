"""DenseLoRA on several processes: the gradients are those of one process, under DDP and both kinds of FSDP."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from peft import PeftModel, get_peft_model, get_peft_model_state_dict
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from harness.tuners import DenseLoraConfig, MixedConfig

RANKS = 2
DENSE = {"r": 4, "dropout": 0.0, "target_modules": ["q_proj", "v_proj", "up_proj", "down_proj"], "init_weights": False}
LORA = {"peft_type": "LORA", "r": 4, "lora_dropout": 0.0, "target_modules": ["q_proj"], "init_lora_weights": False}


def make_model(mixed: bool) -> PeftModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3}
    base = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2))
    config: Any = DenseLoraConfig(**DENSE)
    if mixed:
        dense = {**DENSE, "peft_type": "DENSELORA", "target_modules": ["v_proj", "up_proj", "down_proj"]}
        config = MixedConfig(parts=[LORA, dense])
    return get_peft_model(base, config).train()


def batch() -> torch.Tensor:
    """One row for each rank."""
    return torch.arange(2 * 12).reshape(RANKS, 12) * 7 % 64


def backward(model: nn.Module, tokens: torch.Tensor) -> None:
    model(input_ids=tokens, labels=tokens, use_cache=False).loss.backward()


def ddp(model: PeftModel) -> nn.Module:
    return nn.parallel.DistributedDataParallel(model)


def ddp_static(model: PeftModel) -> nn.Module:
    """What DDP needs where reentrant checkpoints give a shared parameter its gradient in several backward passes."""
    return nn.parallel.DistributedDataParallel(model, static_graph=True)


def fsdp2(model: PeftModel) -> nn.Module:
    from torch.distributed.fsdp import fully_shard

    for layer in model.model.model.layers:
        fully_shard(layer)
    fully_shard(model)
    for layer in model.model.model.layers:
        names = {name for name, _ in layer.named_parameters()}
        assert not any("encoder" in name or "decoder" in name for name in names)
    return model


def fsdp2_sharded_again(model: PeftModel) -> nn.Module:
    """The root's parameters are freed after its forward pass too and gathered anew for the backward pass."""
    from torch.distributed.fsdp import fully_shard

    for layer in model.model.model.layers:
        fully_shard(layer)
    return fully_shard(model, reshard_after_forward=True)


def fsdp1(model: PeftModel) -> nn.Module:
    from functools import partial

    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

    policy = partial(transformer_auto_wrap_policy, transformer_layer_cls={LlamaDecoderLayer})
    return FullyShardedDataParallel(
        model, use_orig_params=True, auto_wrap_policy=policy, device_id=torch.device("cpu")
    )


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    """The whole gradients of the trained parameters, by the names that one process gives them."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    if isinstance(model, FullyShardedDataParallel):
        with FullyShardedDataParallel.summon_full_params(model, with_grads=True):
            return _gradients(model)
    return _gradients(model)


def _gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    whole = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            gradient = weight.grad.full_tensor() if hasattr(weight.grad, "full_tensor") else weight.grad
            whole[name.replace("_fsdp_wrapped_module.", "").removeprefix("module.")] = gradient.clone()
    return whole


# How the model is distributed, whether it is a mixture, and whether checkpoints (None: there are none) are reentrant.
CASES: list[tuple[Callable[[PeftModel], nn.Module], bool, bool | None]] = [
    (ddp, False, None),
    (ddp, True, False),
    (ddp_static, False, True),
    (fsdp2, False, None),
    (fsdp2, True, None),
    (fsdp2, False, False),
    (fsdp2, False, True),
    (fsdp2_sharded_again, False, False),
    (fsdp1, False, None),
]


def rank_main(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=RANKS)
    for index, (wrap, mixed, reentrant) in enumerate(CASES):
        model = make_model(mixed)
        if reentrant is not None:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        wrapped = wrap(model)
        backward(wrapped, batch()[rank : rank + 1])
        whole = gradients(wrapped)
        if rank == 0:
            torch.save(whole, Path(folder) / f"{index}.pt")
        if wrap is fsdp2 and reentrant is None:
            gathered = get_model_state_dict(wrapped, options=StateDictOptions(full_state_dict=True))
            if rank == 0:
                torch.save(get_peft_model_state_dict(wrapped, gathered), Path(folder) / f"adapter-{mixed}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder to which two processes wrote the gradients of every case."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    torch.multiprocessing.spawn(rank_main, (port, str(folder)), nprocs=RANKS)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{wrap.__name__}-{m}-{r}" for wrap, m, r in CASES])
def test_two_ranks_get_the_gradients_of_one_process(ranks, index):
    alone = make_model(mixed=CASES[index][1])
    backward(alone, batch())
    expected = _gradients(alone)
    assert all(gradient.abs().max() > 0 for gradient in expected.values())
    torch.testing.assert_close(torch.load(ranks / f"{index}.pt"), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("mixed", [False, True])
def test_adapter_gathered_from_shards_is_the_whole_adapter(ranks, mixed):
    gathered = torch.load(ranks / f"adapter-{mixed}.pt")
    expected = get_peft_model_state_dict(make_model(mixed))
    assert gathered.keys() == expected.keys()
    assert all(torch.equal(gathered[key], expected[key]) for key in expected)
