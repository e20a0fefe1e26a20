"""Somebody else's settings of torch change no bit of a run, and are as they were after it."""

from contextlib import ExitStack
from functools import partial

import pytest
import torch

import cplab
from cplab import deficits
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
    names += ("is_inference_mode_enabled", "is_autocast_enabled")
    found = {name: getattr(torch, name)() for name in names}
    found["precision"] = torch.get_float32_matmul_precision()
    found["device"] = torch.empty(0).device
    return found | {"onednn": torch.backends.mkldnn.enabled, "cudnn": torch.backends.cudnn.enabled}


def changed(put, other, usual):
    """A context in which a setting is another."""
    stack = ExitStack()
    stack.callback(put, usual)
    put(other)
    return stack


onednn = partial(setattr, torch.backends.mkldnn, "enabled")
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
    ),
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


def test_a_result_names_settings_that_are_not_the_usual_ones():
    usual = cplab.run(RUN, fresh=True, device="cpu").precision
    with changed(onednn, False, True), changed(torch.set_flush_denormal, True, False):
        unusual = cplab.run(RUN, fresh=True, device="cpu").precision
    assert unusual == f"{usual}, oneDNN off, no denormals"


def test_what_is_computed_outside_a_run_is_the_same_under_another_default_type():
    net = cplab.Run(profile="ci").task.birth(torch.device("cpu")).net.eval()
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8)
    some = search.spec("practice", gamma=1.0, n=20, keep=(0.5,))

    def measured():
        found = without_times(cplab.run(some, fresh=True, device="cpu").values)
        return fisher.trace(net, x), fisher.sharpness(net, x, y), found

    usual = measured()
    with changed(torch.set_default_dtype, torch.float64, torch.float32):
        assert measured() == usual
