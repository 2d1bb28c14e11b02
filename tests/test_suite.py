"""Which runs a suite is made of."""

from benchmark.runs.request import DataRequest
from benchmark.runs.suite import requests


def test_models_that_learn_from_auxiliary_clips_run_only_by_name_where_there_are_none():
    for name, offered in (("rendered", False), ("audioset20", True)):
        models = {request.model for request in requests(DataRequest(name), None, (0,))}
        assert "cnn" in models and ("cnn_pretrained" in models) == offered
    (request,) = requests(DataRequest("rendered"), ["cnn_pretrained"], (0,))
    assert request.model == "cnn_pretrained"
