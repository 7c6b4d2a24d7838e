import dataclasses

import pytest
from searched import make_plan

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.checkpoints.reader import read_checkpoint
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.searching.execution import EVALUATION_EPOCHS, Workplace, first_size_epochs, perform, remove_trainings
from mnasnet_cli.searching.held_out import make_records
from mnasnet_cli.searching.nets.inheritance import inherited_checkpoint
from mnasnet_cli.searching.scheduler import replay


def _plan(**changes):
    plan = make_plan(**changes)
    training = {**plan.config["training"], "epochs": 4}
    return dataclasses.replace(plan, config={**plan.config, "training": training})


@pytest.fixture
def place(many_shapes, tmp_path):
    make_records(many_shapes, tmp_path)
    return Workplace(tmp_path, many_shapes)


@pytest.mark.slow
def test_a_net_is_trained_as_train_imagenet_does_and_scored_on_both_sets(place):
    plan = _plan()
    (first, *_) = [task for task in replay(plan, {}).tasks if task.payload["table"]]
    last = {**first.payload, "rung": 1, "last": True}
    task = dataclasses.replace(first, key=first.key.replace("rung1", "rung2"), payload=last)
    found = perform(task, plan, place)
    assert 0 <= found["score"] <= 1
    assert 0 <= found["validation"] <= 1
    assert not found["diverged"]
    run = place.training(task)
    info = read_checkpoint(find_checkpoint(str(run))).info
    assert info["table"]["name"] == task.payload["variant"]
    remove_trainings(plan, {task.key: found}, place)
    assert run.exists()  # of the last rung
    longer = make_plan()
    remove_trainings(longer, {task.key: found}, place)
    assert not run.exists()


@pytest.mark.slow
def test_the_time_of_a_training_follows_from_its_first_steps(place):
    plan = make_plan(candidates=None, budget_seconds=3600.0)
    (task,) = replay(plan, {}).tasks
    one = dataclasses.replace(task, payload={"trainings": task.payload["trainings"][:1]})
    found = perform(one, plan, place)
    assert found["by_rung"][0] > 1
    assert not list(place.run_dir.glob(".*mnasnet-tmp"))


def test_a_net_starts_from_what_it_inherits(place, tmp_path):
    from mnasnet_cli.checkpoints.folder import CheckpointFolder
    from mnasnet_cli.checkpoints.writer import SavedState
    from mnasnet_cli.tasks.from_config import make_task

    plan = _plan()
    config = plan.training_config("b1", None, 0.25, 32, rung=0, seed=0)
    task = make_task(config, place.records)
    model = task.make_model()
    SavedState(model, task.model_info()).save(CheckpointFolder(tmp_path / "trained/checkpoints", keep=1), 0)
    trained = str(tmp_path / "trained")
    digest = read_checkpoint(find_checkpoint(trained)).weights_sha256
    narrow = plan.training_config("b1", None, 0.1, 32, rung=0, seed=1)
    with inherited_checkpoint(trained, digest, narrow, place.records, tmp_path) as init:
        contents = read_checkpoint(init)
    assert contents.info["width"] == 0.1
    stem, whole = contents.weights["Mnasnet/Conv/weights"], model.weights["Mnasnet/Conv/weights"].numpy()
    kept = {channel.tobytes() for channel in stem.transpose(3, 0, 1, 2)}
    assert kept <= {channel.tobytes() for channel in whole.transpose(3, 0, 1, 2)}
    assert not list(tmp_path.glob(".*mnasnet-tmp"))
    changed = inherited_checkpoint(trained, "0" * 64, narrow, place.records, tmp_path)
    with pytest.raises(ConfigError, match="has other weights than when the search began"), changed:
        pass


def test_without_a_trained_net_nothing_is_inherited(place):
    plan = _plan()
    config = plan.training_config("b1", None, 0.1, 32, rung=0, seed=0)
    with inherited_checkpoint(None, None, config, place.records, place.run_dir) as init:
        assert init is None


def test_the_configuration_of_a_rung():
    plan = make_plan()
    first = plan.training_config("b1", None, 0.5, 32, rung=0, seed=1)
    assert (first.training.epochs, first.training.seed, first.model.width) == (3, 1, 0.5)
    assert first.training.eval_every_epochs == 0
    assert first.schedule.warmup_epochs == pytest.approx(0.15)  # half an epoch of ten
    assert first.finetune.recalibrate_batches == 20
    last = plan.training_config("b1", None, 0.5, 32, rung=2, seed=0)
    assert (last.training.epochs, last.data.image_size) == (10, 32)


def test_a_recipe_whose_images_grow_takes_longer_than_its_first_steps_say():
    plan, training = make_plan(), {"image_size": 128, "rung": 2}
    assert first_size_epochs(plan, training) == pytest.approx(10 + EVALUATION_EPOCHS)
    data = {**plan.config["data"], "progressive": [[0.0, 0.5], [0.5, 1.0]]}
    grows = dataclasses.replace(plan, config={**plan.config, "data": data})
    assert first_size_epochs(grows, training) == pytest.approx(5 + 4 * (5 + EVALUATION_EPOCHS))
