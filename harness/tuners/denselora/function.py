"""DenseLoRA's change of a layer's output as one autograd function, which keeps little for the backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from .activations import activate_, backpropagate_
from .masks import draw_dropped, drop_
from .products import product

FEW_ROWS = 256
"""Up to here, calls cost more than the products themselves: a token at a time is generated so."""

Masks = Sequence[torch.Tensor]
"""Which elements of x, of the code and of the decoder's output are dropped; empty where dropout does not act."""


class Recipe(NamedTuple):
    """What of an adapter is no tensor.

    encode, decode: the activations; dropout: the probability, 0 outside of training; dtype: in which it computes.
    """

    encode: nn.Module
    decode: nn.Module
    scaling: float
    dropout: float
    dtype: torch.dtype

    @property
    def kept(self) -> float:
        """By what dropout multiplies the elements that it keeps."""
        return 1 / (1 - self.dropout)


def literal(
    result: torch.Tensor, x: torch.Tensor, E: torch.Tensor, M: torch.Tensor, D: torch.Tensor, recipe: Recipe
) -> torch.Tensor:
    """Computes what `adapt` does, operation by operation, for compilers, which fuse and recompute by themselves."""
    E, M, D = (weight.to(recipe.dtype) for weight in (E, M, D))
    code = recipe.encode(F.linear(F.dropout(x.to(recipe.dtype), recipe.dropout), E))
    change = recipe.decode(F.linear(F.linear(F.dropout(code, recipe.dropout), M), D))
    return result + (recipe.scaling * F.dropout(change, recipe.dropout)).to(result.dtype)


def adapt(
    result: torch.Tensor, x: torch.Tensor, E: torch.Tensor, M: torch.Tensor, D: torch.Tensor, recipe: Recipe
) -> torch.Tensor:
    """Computes result + scaling · drop(decode(D M drop(encode(E drop(x))))): the paper's equations 3 to 5.

    result: (..., out), x: (..., in), E: (r, in), M: (r, r), D: (out, r) -> (..., out), in the dtype of `result`.
    """
    if torch.compiler.is_compiling():
        return literal(result, x, E, M, D, recipe)
    if torch.is_grad_enabled():
        return _DenseLora.apply(result, x, E, M, D, recipe)
    if recipe.dropout or x.numel() > FEW_ROWS * x.shape[-1]:
        return _forward(result, x, E, M, D, recipe)[0]
    return _infer(result, x, E, M, D, recipe)


def _infer(
    result: torch.Tensor, x: torch.Tensor, E: torch.Tensor, M: torch.Tensor, D: torch.Tensor, recipe: Recipe
) -> torch.Tensor:
    """What `adapt` computes without gradients and dropout, in as few calls as there are steps."""
    if not x.dtype is E.dtype is recipe.dtype:
        x, E, M, D = (tensor.to(recipe.dtype) for tensor in (x, E, M, D))
    code = recipe.encode(F.linear(x, E))
    change = activate_(recipe.decode, F.linear(F.linear(code, M), D))
    total = torch.add(result, change, alpha=recipe.scaling)
    return total if total.dtype is result.dtype else total.to(result.dtype)


class _DenseLora(torch.autograd.Function):
    """What `adapt` computes, with a backward pass of its own.

    It keeps x in the dtype that it has, the code before and after its activation and after M, (..., r), and where
    dropout acts which elements were dropped. Autograd on the formula would keep the dropped x, the decoder's output
    before and after its activation, and two masks of their sizes: here the decoder's output, (..., out), is computed
    again.
    """

    @staticmethod
    def forward(ctx: Any, result: torch.Tensor, x: torch.Tensor, *weights_and_recipe: Any) -> torch.Tensor:
        E, M, D, recipe = weights_and_recipe
        total, z, code, mixed, masks = _forward(result, x, E, M, D, recipe)
        ctx.save_for_backward(x if E.requires_grad else None, E, M, D, z, code, mixed, *masks)
        ctx.recipe, ctx.shape, ctx.dtype = recipe, x.shape, x.dtype
        return total

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                "DenseLoRA's gradients can't be differentiated again: call backward() or torch.autograd.grad() "
                "without create_graph=True."
            )
        x, E, M, D, z, code, mixed, *masks = ctx.saved_tensors
        recipe = ctx.recipe
        _, wants_x, wants_E, wants_M, wants_D, _ = ctx.needs_input_grad
        encoder, decoder = E.to(recipe.dtype), D.to(recipe.dtype)
        g = grad.reshape(-1, D.shape[0]).to(recipe.dtype)
        if not isinstance(recipe.decode, nn.Identity):
            g = backpropagate_(recipe.decode, g, product(mixed, decoder))
        if masks:
            g = drop_(g.clone() if isinstance(recipe.decode, nn.Identity) else g, masks[2])
        scale = recipe.scaling * recipe.kept
        grad_D = product(mixed.t(), g.t()).mul_(scale).t() if wants_D else None

        g = product(g, decoder.t()).mul_(scale)
        grad_M = g.t() @ code if wants_M else None
        if not (wants_x or wants_E):
            return grad, None, None, grad_M, grad_D, None

        g = g @ M.to(recipe.dtype)
        if masks:
            g = drop_(g, masks[1])
        g = backpropagate_(recipe.encode, g, z.clone()) * recipe.kept**2
        grad_E = product(g.t(), _inputs(x, recipe, masks).t()) if wants_E else None
        grad_x = product(g, encoder.t()) if wants_x else None
        if wants_x and masks:
            drop_(grad_x, masks[0])
        grad_x = grad_x.to(ctx.dtype).view(ctx.shape) if wants_x else None
        return grad, grad_x, grad_E, grad_M, grad_D, None


def _forward(
    result: torch.Tensor, x: torch.Tensor, E: torch.Tensor, M: torch.Tensor, D: torch.Tensor, recipe: Recipe
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, Masks]:
    """Returns what `adapt` does, the code before and after its activation and after M, and the masks drawn."""
    # As `_infer` does for few rows, so that both have the same bits.
    times = F.linear if x.numel() <= FEW_ROWS * x.shape[-1] else product
    masks = draw_dropped(x.numel() // x.shape[-1], (x.shape[-1], *D.shape[::-1]), x.device, recipe.dropout)
    z = times(_inputs(x, recipe, masks), E.to(recipe.dtype))
    if masks:
        z.mul_(recipe.kept)
    code = recipe.encode(z)
    if masks:
        code = drop_(code * recipe.kept, masks[1])
    mixed = F.linear(code, M.to(recipe.dtype))
    change = activate_(recipe.decode, times(mixed, D.to(recipe.dtype)))
    if masks:
        drop_(change, masks[2])
    flat, scale = result.reshape(change.shape), recipe.scaling * recipe.kept
    # Over `change`, which was just written, where it has the sum's dtype: new memory costs more.
    over = change if change.dtype is torch.result_type(flat, change) else None
    total = torch.add(flat, change, alpha=scale, out=over)
    return total.to(result.dtype).view(result.shape), z, code, mixed, masks


def _inputs(x: torch.Tensor, recipe: Recipe, masks: Masks) -> torch.Tensor:
    """The encoder's input, unscaled: (rows, in)."""
    flat = x.reshape(-1, x.shape[-1])
    if not masks:
        return flat.to(recipe.dtype)
    return drop_(flat.to(recipe.dtype, copy=True, memory_format=torch.contiguous_format), masks[0])
