from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pleinair.networks import winograd
from pleinair.networks.winograd import WinogradConv2d


@pytest.mark.parametrize(
    ("count", "inputs", "outputs", "height", "width", "padding", "bias"),
    [
        (1, 32, 48, 32, 32, 1, True),
        (2, 48, 32, 33, 47, 1, False),
        (3, 32, 32, 18, 19, 0, True),
        (1, 64, 64, 66, 66, 0, False),
    ],
)
def test_results_and_gradients_are_those_of_the_plain_operator(
    count, inputs, outputs, height, width, padding, bias
):
    torch.manual_seed(0)
    conv = WinogradConv2d(inputs, outputs, 3, padding=padding, bias=bias)
    x = torch.randn(count, inputs, height, width, requires_grad=True)
    assert winograd.pays(x, conv.weight)
    out = conv(x)
    back = torch.randn_like(out)
    out.backward(back)

    exact_x = x.detach().double().requires_grad_(True)
    weight = conv.weight.detach().double().requires_grad_(True)
    shift = conv.bias.detach().double().requires_grad_(True) if bias else None
    exact = F.conv2d(exact_x, weight, shift, padding=padding)
    exact.backward(back.double())
    for ours, theirs in (
        (out.detach(), exact.detach()),
        (x.grad, exact_x.grad),
        (conv.weight.grad, weight.grad),
        *([(conv.bias.grad, shift.grad)] if bias else []),
    ):
        scale = float(theirs.detach().abs().max())
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=3e-5 * scale)


def test_without_gradients_the_plain_operator_runs(monkeypatch):
    conv = WinogradConv2d(32, 32, 3, padding=1)
    x = torch.randn(1, 32, 32, 32)
    plain = F.conv2d(x, conv.weight, conv.bias, padding=1)
    monkeypatch.setattr(winograd, "_convolve", None)
    with torch.no_grad():
        assert torch.equal(conv(x), plain)
    with pytest.raises(TypeError):
        conv(x)


def test_small_layers_stay_plain():
    assert not winograd.pays(torch.zeros(1, 16, 64, 64), torch.zeros(64, 16, 3, 3))
    assert not winograd.pays(torch.zeros(1, 64, 8, 8), torch.zeros(64, 64, 3, 3))
    assert not winograd.pays(torch.zeros(1, 64, 64, 64).double(), torch.zeros(64, 64, 3, 3))


def test_a_penalty_on_gradients_can_be_differentiated():
    # R1 takes gradients of gradients; the tiles know only the first, and must say so or be right.
    torch.manual_seed(0)
    conv = WinogradConv2d(32, 32, 3, padding=1)
    x = torch.randn(1, 32, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(conv(x).square().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    found = conv.weight.grad.clone()
    conv.weight.grad = None
    plain = F.conv2d(x, conv.weight, conv.bias, padding=1)
    (gradient,) = torch.autograd.grad(plain.square().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    torch.testing.assert_close(found, conv.weight.grad, rtol=1e-3, atol=1e-3)
