"""Hold the data set against polytimbre's contract."""

from polytimbre_my_dataset import MyDataset

import polytimbre as pt


def test_the_data_set_holds_to_the_contract():
    for rule in pt.check_dataset(MyDataset, root=None):
        print(f"holds: {rule}")


def test_the_data_set_is_found():
    assert "my_dataset" in pt.datasets()
