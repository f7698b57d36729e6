import pytest
from click.testing import CliRunner

from flows.judge_commands import judge
from miners.chats.embedded.model import open_model


@pytest.mark.slow
def test_the_command_makes_the_model_that_is_shipped(tmp_path):
    result = CliRunner().invoke(judge, ["train", str(tmp_path)])
    assert result.exit_code == 0, result.output
    ours, shipped = open_model(str(tmp_path)), open_model()
    assert ours.manifest.name == shipped.manifest.name
    assert ours.model.temperature == shipped.model.temperature
    # to the letter on one machine; another's processor may add up in another order
    assert abs(ours.model.weights - shipped.model.weights).max() < 0.05
