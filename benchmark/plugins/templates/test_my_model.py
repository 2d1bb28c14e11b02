"""Hold the model against polytimbre's contract."""

from polytimbre_my_model import MyModel

import polytimbre as pt


def test_the_model_holds_to_the_contract():
    for rule in pt.check_model(MyModel):
        print(f"holds: {rule}")


def test_the_model_is_found():
    assert "my_model" in pt.models()
