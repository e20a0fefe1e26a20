"""Somebody else's settings of torch change no bit of a run, and are as they were after it."""

from contextlib import ExitStack, suppress
from functools import partial
from operator import attrgetter

import pytest
import torch

import cplab
from cplab import deficits
from cplab.engine.train import train_epoch
from cplab.errors import CplabError
from cplab.labs.lab05_growth import search
from cplab.measure import fisher
from cplab.results.result import without_times

pytestmark = pytest.mark.usefixtures("nothing_shipped")

RUN = cplab.Run("blur+noise", onset=1, length=1, recovery=1, profile="ci")


def trained():
    deficits.noise_patterns.cache_clear()
    result = cplab.run(RUN, measure="trace", fresh=True, device="cpu")
    return without_times(result.values), without_times(result.measured), result.threads


def settings():
    names = ("get_default_dtype", "get_num_threads", "is_grad_enabled")
    names += ("are_deterministic_algorithms_enabled",)
    names += ("is_deterministic_algorithms_warn_only_enabled",)
    names += ("is_inference_mode_enabled", "is_autocast_enabled")
    found = {name: getattr(torch, name)() for name in names}
    with suppress(RuntimeError):  # of what contradicts itself
        found["precision"] = torch.get_float32_matmul_precision()
    for name in ("", "mkldnn", "mkldnn.matmul", "mkldnn.conv", "cudnn", "cudnn.conv"):
        with suppress(AttributeError):  # of an older torch
            found[f"fp32 {name}"] = precision(name).fp32_precision
    found["device"] = torch.empty(0).device
    return found | {"onednn": torch.backends.mkldnn.enabled, "cudnn": torch.backends.cudnn.enabled}


def precision(name):
    return attrgetter(f"backends.{name}".rstrip("."))(torch)


def changed(put, other, usual):
    """A context in which a setting is another."""
    stack = ExitStack()
    stack.callback(put, usual)
    put(other)
    return stack


def newer(name, other):
    """One of torch's newer settings of precision, where it has them."""
    if not hasattr(torch.backends, "fp32_precision"):
        pytest.skip("this torch has no such setting")
    return changed(partial(setattr, precision(name), "fp32_precision"), other, "none")


onednn = partial(setattr, torch.backends.mkldnn, "enabled")
deterministic = partial(torch.use_deterministic_algorithms, warn_only=True)
OTHERS = {  # what other code may have set
    "types": lambda: (
        changed(torch.set_default_dtype, torch.bfloat16, torch.float32),
        changed(torch.set_default_device, "meta", None),
        changed(torch.set_num_threads, 3, 1),
        changed(torch.manual_seed, 11, 0),
    ),
    "arithmetic": lambda: (
        changed(torch.set_default_dtype, torch.float64, torch.float32),
        changed(torch.set_float32_matmul_precision, "medium", "highest"),
        changed(deterministic, True, False),
        changed(torch.set_flush_denormal, True, False),
        changed(onednn, False, True),
    ),
    "newer matmul": lambda: (newer("mkldnn.matmul", "bf16"),),
    "older of cuDNN": lambda: (torch.backends.cudnn.flags(enabled=True, allow_tf32=False),),
    "newer of all": lambda: (newer("", "tf32"),),
    "modes": lambda: (
        changed(torch.set_autocast_cache_enabled, False, True),
        torch.inference_mode(),
        torch.no_grad(),
        torch.autocast("cpu", torch.bfloat16),
    ),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPLAB_CACHE", str(tmp_path_factory.mktemp("expected")))
        return trained()


@pytest.mark.parametrize("name", OTHERS)
def test_settings_change_no_bit_and_are_as_they_were(expected, name):
    with ExitStack() as stack:
        for setting in OTHERS[name]():
            stack.enter_context(setting)
        before = settings()
        assert trained() == expected
        assert settings() == before


def test_a_result_is_refused_if_a_setting_was_changed_in_between(monkeypatch):
    def meddling(*given):
        torch.set_default_dtype(torch.float64)
        return train_epoch(*given)

    monkeypatch.setattr("cplab.engine.train.train_epoch", meddling)
    with pytest.raises((CplabError, RuntimeError)):
        cplab.run(RUN, fresh=True, device="cpu")
    assert torch.get_default_dtype() == torch.float32
    assert cplab.find(RUN) is None


def test_what_is_computed_outside_a_run_is_the_same_under_another_default_type():
    net = cplab.Run(profile="ci").task.birth(torch.device("cpu")).net.eval()
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8)
    some = search.spec("practice", gamma=1.0, n=20, keep=0.5)

    def measured():
        found = without_times(cplab.run(some, fresh=True, device="cpu").values)
        return fisher.trace(net, x), fisher.sharpness(net, x, y), found

    usual = measured()
    with changed(torch.set_default_dtype, torch.float64, torch.float32):
        assert measured() == usual
