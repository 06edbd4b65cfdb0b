"""The autograd function: what it computes, what it keeps, and its dropout masks."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.tuners.denselora import function
from harness.tuners.denselora.config import make_activation
from harness.tuners.denselora.function import Recipe, adapt
from harness.tuners.denselora.masks import SPARSE_UP_TO, draw_dropped, drop_
from harness.tuners.denselora.products import product

SCALING = 1.7


def recipe(encode="gelu", decode="gelu", dropout=0.0, dtype=torch.float64):
    return Recipe(make_activation(encode), make_activation(decode), SCALING, dropout, dtype)


def tensors(dtype=torch.float64, rows=(2, 7), width_in=10, width_out=12, r=4):
    """result, x, E, M, D"""
    generator = torch.Generator().manual_seed(0)
    shapes = (*rows, width_out), (*rows, width_in), (r, width_in), (r, r), (width_out, r)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn, as factors: 0 where an element is dropped, 1 elsewhere, (rows, width)."""
    kept = []

    def draw(rows, widths, device, p):
        found = draw_dropped(rows, widths, device, p)
        for width, dropped in zip(widths, found):
            kept.append(drop_(torch.ones(rows, width, dtype=torch.float64), dropped))
        return found

    monkeypatch.setattr(function, "draw_dropped", draw)
    return kept


def formula(result, x, E, M, D, recipe, kept):
    """The paper's formula with given masks, as autograd differentiates it."""
    on_x, on_code, on_output = [mask / (1 - recipe.dropout) for mask in kept] or (1.0, 1.0, 1.0)
    code = on_code * recipe.encode((on_x * x.flatten(0, -2)) @ E.T)
    change = on_output * recipe.decode(code @ M.T @ D.T)
    return result + SCALING * change.view(result.shape)


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.6])
@pytest.mark.parametrize(
    ("encode", "decode"),
    [("gelu", "gelu"), ("silu", "silu"), ("identity", "identity"), ("relu", "tanh"), ("gelu", "identity"),
     ("identity", "gelu_new")],
)  # fmt: skip
def test_outputs_and_gradients_are_the_formulas_given_the_same_masks(drawn, encode, decode, dropout):
    given, how = tensors(), recipe(encode, decode, dropout)
    weight = torch.randn(given[0].shape, dtype=torch.float64)

    ours = adapt(*given, how)
    expected = formula(*given, how, drawn)

    assert len(drawn) == (3 if dropout else 0)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)
    for name, mine, autograds in zip(
        ("result", "x", "E", "M", "D"),
        torch.autograd.grad((ours * weight).sum(), given),
        torch.autograd.grad((expected * weight).sum(), given),
    ):
        assert (mine - autograds).norm() <= 1e-10 * autograds.norm(), name


def test_float32_is_as_exact_as_float32_can_be(drawn):
    given, how = tensors(torch.float32, width_in=64, width_out=96, r=8), recipe(dropout=0.1, dtype=torch.float32)
    exact = [tensor.detach().double().requires_grad_() for tensor in given]

    ours = adapt(*given, how)
    expected = formula(*exact, how, drawn)

    assert (ours - expected).norm() <= 1e-5 * expected.norm()
    for mine, autograds in zip(torch.autograd.grad(ours.sum(), given), torch.autograd.grad(expected.sum(), exact)):
        assert (mine - autograds).norm() <= 1e-5 * autograds.norm()


@pytest.mark.parametrize("dropout", [0.0, 0.2, 0.6])
def test_gradients_are_the_slopes_of_the_outputs(dropout):
    how = recipe(dropout=dropout)

    def same_masks_each_time(*given):
        torch.manual_seed(0)
        return adapt(*given, how)

    assert torch.autograd.gradcheck(same_masks_each_time, tensors(rows=(3,), width_in=5, width_out=6, r=3))


@pytest.mark.parametrize("rows", [(2, 7), (3, 200)], ids=["a few rows", "many rows"])
def test_without_gradients_the_outputs_are_the_same(rows):
    given, how = tensors(rows=rows), recipe()
    with torch.no_grad():
        ours = adapt(*given, how)
        torch.testing.assert_close(ours, formula(*given, how, []), rtol=1e-10, atol=1e-12)
    assert ours.grad_fn is None


def test_half_precision_bases_are_computed_in_the_adapters_precision_and_rounded_once():
    result, x, *weights = tensors(torch.float32, width_in=64, width_out=96, r=8)
    result, x = (tensor.detach().bfloat16().requires_grad_() for tensor in (result, x))
    exact = [tensor.detach().double() for tensor in (result, x, *weights)]

    ours = adapt(result, x, *weights, recipe(dtype=torch.float32))
    ours.sum().backward()

    assert ours.dtype is x.grad.dtype is torch.bfloat16
    torch.testing.assert_close(ours.detach(), formula(*exact, recipe(), []).bfloat16())


@pytest.mark.parametrize("dropout", [0.0, 0.05])
def test_what_it_keeps_is_the_input_the_code_and_what_was_dropped(dropout):
    _, x, E, M, D = given = tensors(rows=(4, 128), width_in=512, width_out=1024, r=16)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        ours = adapt(*given, recipe(dropout=dropout))

    weights = {tensor.data_ptr() for tensor in (E, M, D)}
    wide = [tensor for tensor in kept if tensor.data_ptr() not in weights]
    assert [tensor.shape for tensor in wide[:4]] == [x.shape, (512, 16), (512, 16), (512, 16)]
    assert wide[0].data_ptr() == x.data_ptr()
    dropped = sum(tensor.numel() * tensor.element_size() for tensor in wide[4:])
    assert dropped <= 4.4 * dropout * 512 * (512 + 16 + 1024)
    assert sum(tensor.untyped_storage().nbytes() for tensor in wide[4:]) == dropped
    assert not [value for value in vars(ours.grad_fn).values() if isinstance(value, torch.Tensor)]


def test_frozen_weights_have_no_gradient_and_the_input_is_not_kept_for_them():
    _, x, E, M, D = given = tensors()
    E.requires_grad_(False)
    D.requires_grad_(False)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.data_ptr()) or t, lambda t: t):
        adapt(*given, recipe()).sum().backward()

    assert x.data_ptr() not in kept
    assert E.grad is D.grad is None
    assert M.grad.norm() > 0
    assert x.grad.norm() > 0


def test_second_derivatives_are_refused_instead_of_being_wrong():
    given = tensors()
    with pytest.raises(NotImplementedError, match=r"can't be differentiated again: .* without create_graph"):
        torch.autograd.grad(adapt(*given, recipe()).sum(), given[1], create_graph=True)


def test_autocast_computes_in_its_own_precision(llama, tokens):
    from peft import get_peft_model

    from harness.tuners import DenseLoraConfig

    model = get_peft_model(llama, DenseLoraConfig(r=4, init_weights=False, dropout=0.0)).train()
    exact = model(input_ids=tokens, labels=tokens).loss
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()

    torch.testing.assert_close(loss, exact, rtol=0.02, atol=0.0)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    assert layer.denselora_M["default"].grad.dtype is torch.float32


PROBABILITIES = [0.05, SPARSE_UP_TO, 0.5]


@pytest.mark.parametrize("p", PROBABILITIES)
def test_each_element_is_dropped_with_the_probability_asked_for(p):
    torch.manual_seed(0)
    draws = 20_000
    counts = torch.zeros(3, 11)
    for _ in range(draws):
        for count, dropped in zip((counts[:, :4], counts[:, 4:]), draw_dropped(3, (4, 7), torch.device("cpu"), p)):
            count += 1 - drop_(torch.ones(count.shape), dropped)
    # Of 33 elements, the furthest of a binomial count from its mean: beyond 4.5 deviations once in 4,000 tests.
    assert ((counts - draws * p).abs() < 4.5 * (draws * p * (1 - p)) ** 0.5).all()


@pytest.mark.parametrize("p", PROBABILITIES)
def test_elements_are_dropped_independently_within_and_between_masks(p):
    torch.manual_seed(1)
    size = 400_000
    first, second = [
        1 - drop_(torch.ones(size), dropped) - p for dropped in draw_dropped(1, (size, size), torch.device("cpu"), p)
    ]
    bound = 4.5 * p * (1 - p) * size**0.5
    for distance in (1, 2, 3, 17, 64):
        assert abs((first[:-distance] * first[distance:]).sum()) < bound
    assert abs((first * second).sum()) < bound
    assert abs((first[1:] * second[:-1]).sum()) < bound


def test_distances_between_dropped_elements_are_geometric():
    from scipy.stats import chisquare

    torch.manual_seed(2)
    p, size = 0.1, 2_000_000
    (positions,) = draw_dropped(1, (size,), torch.device("cpu"), p)
    gaps = torch.bincount(positions.long().diff(), minlength=61)
    expected = (positions.numel() - 1) * p * (1 - p) ** torch.arange(60.0)
    observed, expected = [*gaps[1:61].tolist(), gaps[61:].sum().item()], expected.tolist()
    expected.append(positions.numel() - 1 - sum(expected))
    assert chisquare(observed, expected).pvalue > 1e-4


def test_a_walk_that_stops_short_goes_on(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.zeros(*shape))
    (positions,) = draw_dropped(1, (1000,), torch.device("cpu"), 0.05)
    assert positions.tolist() == list(range(1000))


@pytest.mark.parametrize("rows", [0, 1])
def test_empty_and_tiny_inputs_work(rows):
    for p in PROBABILITIES:
        for dropped, width in zip(draw_dropped(rows, (1, 2, 1), torch.device("cpu"), p), (1, 2, 1)):
            drop_(torch.ones(rows, width), dropped)
    given = tensors(rows=(rows,))
    adapt(*given, recipe(dropout=0.3)).sum().backward()
    assert given[1].grad.shape == (rows, 10)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_products_are_products(enabled, dtype):
    a, b = torch.randn(48, 33, dtype=dtype), torch.randn(16, 33, dtype=dtype)
    with torch.backends.mkldnn.flags(enabled=enabled):
        for left, right in itertools.product((a, a.t().contiguous().t()), (b, b.t().contiguous().t())):
            torch.testing.assert_close(product(left, right), F.linear(left, right))
    assert product(a[:1], b).shape == (1, 16)


def test_activations_of_the_models_own_are_differentiated_by_autograd():
    given, how = tensors(), Recipe(nn.Softplus(), nn.Mish(), SCALING, 0.0, torch.float64)
    for mine, autograds in zip(
        torch.autograd.grad(adapt(*given, how).sum(), given),
        torch.autograd.grad(formula(*given, how, []).sum(), given),
    ):
        torch.testing.assert_close(mine, autograds)


def test_the_generator_decides_the_masks():
    torch.manual_seed(5)
    first = draw_dropped(8, (100,), torch.device("cpu"), 0.05)
    torch.manual_seed(5)
    assert torch.equal(first[0], draw_dropped(8, (100,), torch.device("cpu"), 0.05)[0])
    assert draw_dropped(8, (100,), torch.device("cpu"), 0) == []


def test_inputs_are_not_cast_where_the_user_switched_that_off(llama):
    from peft import get_peft_model
    from peft.helpers import disable_input_dtype_casting

    from harness.tuners import DenseLoraConfig

    model = get_peft_model(llama, DenseLoraConfig(r=4, init_weights=False))
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    x = torch.randn(2, 3, 32).bfloat16()
    dtypes = []
    with pytest.MonkeyPatch.context() as patch, disable_input_dtype_casting(model):
        place = "harness.tuners.denselora.layer.adapt"
        patch.setattr(place, lambda result, *given: dtypes.append(given[-1].dtype) or result)
        layer.base_layer.bfloat16()
        layer(x)
    assert dtypes == [torch.bfloat16]
