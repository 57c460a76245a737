"""One call from a trained model to an object: any scan that fits, at any dose, whatever unit its probe has."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ptychofold.config import LoaderConfig, ModelConfig
from ptychofold.data import GroupBatch, GroupedDataset
from ptychofold.models import PatchesOnPixels, PtychographyModel
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import predict_object, prediction_loader
from ptychofold.testing import make_scan

QUICK = ModelConfig(lift_steps=6)


@pytest.fixture(scope="module")
def scan() -> RawData:
    return make_scan(n_scan=36, N=32, step=3.0, n_photons=1e5, seed=4)


@pytest.fixture(scope="module")
def brighter() -> RawData:
    return make_scan(n_scan=36, N=32, step=3.0, n_photons=4e5, seed=5)


def _in_units_of_its_own(scan: RawData) -> RawData:
    return replace(scan, probe=scan.probe / np.abs(scan.probe).max())


def _groups_of_four(model: PtychographyModel) -> PtychographyModel:
    model.contract = model.contract.with_groups_of(4)
    return model


def test_the_scale_of_training_is_used_unchanged_where_the_probe_tells_the_photons(
    scan: RawData, brighter: RawData
) -> None:
    model = PtychographyModel.for_scan(scan, QUICK)
    assert model.config.probe_scaling == "given"
    source = prediction_loader(model, brighter).batch_order.source
    assert isinstance(source, GroupedDataset)
    assert source.scale == model.scaling.rms_input_scale
    np.testing.assert_array_equal(source.scan.probe, brighter.probe)


def test_a_probe_in_a_unit_of_its_own_gets_the_energy_of_the_patterns_it_is_predicted_with(
    scan: RawData, brighter: RawData
) -> None:
    model = PtychographyModel.for_scan(scan, QUICK)
    source = prediction_loader(model, _in_units_of_its_own(brighter)).batch_order.source
    assert isinstance(source, GroupedDataset)
    assert np.square(np.abs(source.scan.probe)).sum() == pytest.approx(brighter.energies().mean(), rel=1e-4)


def test_a_model_that_matched_the_probe_in_training_matches_it_to_each_scan(scan: RawData, brighter: RawData) -> None:
    model = PtychographyModel.for_scan(_in_units_of_its_own(scan), QUICK)
    assert model.config.probe_scaling == "match"
    source = prediction_loader(model, _in_units_of_its_own(brighter)).batch_order.source
    assert isinstance(source, GroupedDataset)
    assert source.scale == pytest.approx(brighter.rms_input_scale(), rel=1e-6)
    probe = model.illumination(source[0]).probe
    assert float(probe.abs().square().sum()) == pytest.approx(brighter.energies().mean(), rel=1e-4)


def test_a_probe_that_was_said_to_be_given_stays_as_it_is(scan: RawData) -> None:
    weak = _in_units_of_its_own(scan)
    model = PtychographyModel.for_scan(weak, QUICK.replace(probe_scaling="given"))
    np.testing.assert_array_equal(predict_object(model, weak).probe, weak.probe)


def test_a_probe_that_training_refined_is_used(scan: RawData) -> None:
    model = PtychographyModel.for_scan(scan, QUICK.replace(trainable_probe=True))
    with torch.no_grad():
        model.forward_model.probe[...] = model.forward_model.probe.roll(1, dims=-1)
    np.testing.assert_array_equal(predict_object(model, scan).probe, np.roll(scan.probe, 1, axis=-1))


def test_every_point_is_seen_from_several_groups_and_progress_is_told(scan: RawData) -> None:
    model = _groups_of_four(PtychographyModel.for_scan(scan, QUICK))
    told: list[int] = []
    once = predict_object(model, scan, progress=told.append, loader=LoaderConfig(batch_size=4))
    assert len(scan) <= sum(told) < 2 * len(scan)
    told.clear()
    often = predict_object(model, scan, every_seed=True, progress=told.append)
    assert sum(told) == 4 * len(scan)
    assert not np.array_equal(often.object, once.object)
    assert often.provenance["engine"] == "network"
    assert often.seconds > 0


@pytest.mark.parametrize("turned", [False, True])
def test_phases_of_groups_are_made_to_agree_unless_patches_are_streamed(
    scan: RawData, monkeypatch: pytest.MonkeyPatch, *, turned: bool
) -> None:
    """Every group is turned by a phase of its own, which no pattern tells; an object of them falls apart."""
    model = PtychographyModel.for_scan(scan, QUICK)
    if turned:
        as_made = PtychographyModel.predict_patches

        def with_phases(self: PtychographyModel, batch: GroupBatch) -> PatchesOnPixels:
            made = as_made(self, batch)
            phases = torch.exp(2j * torch.pi * batch.members[:, :1, None, None] / 5)
            return made._replace(patches=made.patches * phases)

        monkeypatch.setattr(PtychographyModel, "predict_patches", with_phases)
    apart, agreeing = (predict_object(model, scan, synchronize=wanted).r_factor for wanted in (False, True))
    assert agreeing < 0.42
    assert (apart > 1.3 * agreeing) == turned
