"""What stands around Flower's own: a grid that hides nodes and is otherwise the grid; arrays that are no model."""

import pytest

from secagg.flower.harness import node_id
from tests.unlearning.federated.flower.federations import CLIENTS, FORGET_NODE, federation, grid_of
from unlearning.errors import UnlearningError
from unlearning.federated.flower.records import tensors_of
from unlearning.federated.flower.wrapped import RestrictedGrid

pytestmark = pytest.mark.flower


def test_a_restricted_grid_is_the_grid_without_some_nodes() -> None:
    from flwr.app import Message, RecordDict
    from flwr.serverapp import Grid

    rest = [node_id(client) for client in range(1, CLIENTS)]
    with grid_of(federation()) as grid:
        seen = RestrictedGrid(grid.as_grid, [FORGET_NODE])
        assert isinstance(seen, Grid)
        assert seen.get_node_ids() == rest
        assert [one.node_id for one in seen.get_nodes()] == rest
        assert seen.run is grid.run
        [reply] = seen.send_and_receive([Message(RecordDict(), rest[0], "query")])
        assert reply.metadata.src_node_id == rest[0]


def test_arrays_that_are_no_numbers_are_told() -> None:
    from flwr.app import Array, ArrayRecord

    with pytest.raises(UnlearningError, match="something else than numbers"):
        tensors_of(ArrayRecord({"v": Array("uint32", (2,), "masked", b"12345678")}))
