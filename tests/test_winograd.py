from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from pleinair.networks import winograd
from pleinair.networks.winograd import WinogradConv2d


@pytest.mark.parametrize(
    ("count", "inputs", "outputs", "height", "width", "padding", "bias"),
    [
        (1, 128, 160, 32, 32, 1, True),
        (2, 160, 128, 33, 47, 1, False),
        (3, 128, 128, 18, 19, 0, True),
        (1, 128, 128, 66, 66, 0, False),
        (2, 64, 64, 32, 32, 1, True),
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
    conv = WinogradConv2d(128, 128, 3, padding=1)
    x = torch.randn(1, 128, 32, 32)
    plain = F.conv2d(x, conv.weight, conv.bias, padding=1)
    monkeypatch.setattr(winograd, "_tiles", None)
    with torch.no_grad():
        assert torch.equal(conv(x), plain)
    with pytest.raises(TypeError):
        conv(x)


def test_small_layers_stay_plain():
    assert not winograd.pays(torch.zeros(1, 32, 64, 64), torch.zeros(32, 32, 3, 3))
    assert not winograd.pays(torch.zeros(1, 64, 16, 16), torch.zeros(64, 64, 3, 3))
    assert not winograd.pays(torch.zeros(1, 128, 8, 8), torch.zeros(128, 128, 3, 3))
    assert not winograd.pays(torch.zeros(1, 128, 64, 64).double(), torch.zeros(128, 128, 3, 3))


def test_gradients_of_gradients_are_refused():
    conv = WinogradConv2d(128, 128, 3, padding=1)
    x = torch.randn(1, 128, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(conv(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("change", ["fused", "foreach", "loop", "in place", "load"])
def test_a_changed_weight_is_seen(change):
    # By the convolution itself, whoever changed it: a step that went on with the kernels of the
    # weights before would look like training.
    conv = WinogradConv2d(128, 128, 3, padding=1)
    x = torch.randn(1, 128, 16, 16)
    conv(x).square().mean().backward()
    if change == "in place":
        with torch.no_grad():
            conv.weight.mul_(1.5)
    elif change == "load":
        conv.load_state_dict({k: v + 0.1 for k, v in conv.state_dict().items()})
    else:
        kinds = {"fused": {"fused": True}, "foreach": {"foreach": True}, "loop": {"foreach": False}}
        torch.optim.Adam(conv.parameters(), lr=0.1, **kinds[change]).step()
    plain = F.conv2d(x, conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(conv(x), plain, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(copy.deepcopy(conv)(x), plain, rtol=1e-3, atol=1e-3)
