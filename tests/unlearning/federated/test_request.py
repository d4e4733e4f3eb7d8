import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData, FederatedData
from unlearning.federated.request import Split, UnlearningRequest, split

NUMBERS = st.sets(st.integers(0, 40), min_size=1, max_size=12)
REQUESTS = st.one_of(
    NUMBERS.map(lambda numbers: UnlearningRequest.client(*numbers)),
    NUMBERS.map(lambda numbers: UnlearningRequest.classes(*numbers)),
    st.dictionaries(st.integers(0, 40), NUMBERS, min_size=1, max_size=4).map(UnlearningRequest.sample),
)


@pytest.fixture
def data() -> FederatedData:
    """Clients 0, 1 and 3 hold four, three and five examples of classes 0 to 2; client 2 holds none."""
    labels: tuple[list[int], ...] = ([0, 1, 0, 2], [1, 1, 0], [], [0, 0, 0, 0, 0])
    owners = enumerate(labels)
    clients = tuple(
        ClientData(torch.tensor([[10.0 * c + i] for i in range(len(y))]).reshape(-1, 1), torch.tensor(y).long())
        for c, y in owners
    )
    return FederatedData(clients, test=clients[0])


def refused(text: str, data: FederatedData | None = None) -> str:
    with pytest.raises(UnlearningError) as caught:
        split(data, UnlearningRequest.parse(text)) if data else UnlearningRequest.parse(text)
    assert (caught.value.code, caught.value.exit_code) == ("unlearning.request", 2)
    return str(caught.value)


@pytest.mark.parametrize("text", ["client:4", "client:2,5", "sample:4=0-9,12", "sample:4=0-9,12/7=3", "class:3"])
def test_a_request_is_written_as_it_was_read(text: str) -> None:
    request = UnlearningRequest.parse(text)
    assert str(request) == text
    assert pickle.loads(pickle.dumps(request)) == request


def test_the_named_constructors_give_what_parse_reads() -> None:
    assert UnlearningRequest.parse("client:5,2") == UnlearningRequest.client(2, 5)
    assert UnlearningRequest.parse("class:3-5") == UnlearningRequest.classes(3, 4, 5)
    assert UnlearningRequest.parse("sample:7=3/4=9,0-2,1") == UnlearningRequest.sample({4: [0, 1, 2, 9], 7: [3]})


@given(REQUESTS)
def test_every_request_survives_its_own_string(request: UnlearningRequest) -> None:
    assert UnlearningRequest.parse(str(request)) == request
    assert hash(UnlearningRequest.parse(str(request))) == hash(request)


@pytest.mark.parametrize(
    "text",
    ["", "client", "client:", "client:a", "client:-1", "client:1,,2", "client: 4", "client:4\n", "clients:4",
     "client:٣", "class:3-1", "sample:4", "sample:4=", "sample:4=1/", "sample:4-5=1", "sample:4=1/4=2",
     "sample:4=1=2", "llm:3"],
)  # fmt: skip
def test_another_form_is_refused_and_the_right_ones_are_told(text: str) -> None:
    told = refused(text)
    assert "sample:4=0-9,12" in told or "names a client twice" in told


@pytest.mark.parametrize("text", ["client:0-999999999", "sample:1=0-600000/2=0-600000", "class:0-999999,5-6"])
def test_a_short_string_cannot_fill_the_memory(text: str) -> None:
    assert "names more than 1000000 numbers" in refused(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("client:2", "there is no client 2 with examples; there are 0,1,3"),
        ("client:0,9", "there is no client 9 with examples; there are 0,1,3"),
        ("sample:9=0", "there is no client 9 with examples; there are 0,1,3"),
        ("sample:1=0-3", "client 1 has no example 3; it holds 0-2"),
        ("class:7,0", "no client holds class 7; there are 0-2"),
        ("client:0,1,3", "nothing would be left after client:0,1,3"),
        ("class:0-2", "nothing would be left after class:0-2"),
        ("sample:0=0-3/1=0-2/3=0-4", "nothing would be left after sample:0=0-3/1=0-2/3=0-4"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(text: str, told: str, data: FederatedData) -> None:
    assert told in refused(text, data)


@pytest.mark.parametrize(
    ("text", "forgotten"),
    [
        ("client:0,3", {0: [0, 1, 2, 3], 3: [0, 1, 2, 3, 4]}),
        ("sample:0=1,3/3=0", {0: [1, 3], 3: [0]}),
        ("class:1", {0: [1], 1: [0, 1]}),
        ("class:0-1", {0: [0, 1, 2], 1: [0, 1, 2], 3: [0, 1, 2, 3, 4]}),
    ],
)
def test_every_example_is_either_forgotten_or_retained(
    text: str, forgotten: dict[int, list[int]], data: FederatedData
) -> None:
    parts = split(data, UnlearningRequest.parse(text))
    assert {client: places.tolist() for client, places in parts.indices.items()} == forgotten
    for client, held in enumerate(data.clients):
        gone = forgotten.get(client, [])
        stays = [place for place in range(len(held)) if place not in gone]
        assert parts.retain[client].x.flatten().tolist() == [10.0 * client + place for place in stays]
        assert torch.equal(parts.retain[client].y, held.y[stays])
        if gone:
            assert torch.equal(parts.forget[client].x, held.x[gone])
            assert torch.equal(parts.forget[client].y, held.y[gone])
    assert len(parts.forgotten) + len(parts.retained) == sum(map(len, data.clients))
    assert parts.forgotten.x.flatten().tolist() == [10.0 * c + place for c in forgotten for place in forgotten[c]]


def test_forgetting_nothing_leaves_everything(data: FederatedData) -> None:
    parts = Split.nothing(data)
    assert (parts.forget, parts.retain, len(parts.forgotten)) == ({}, data.clients, 0)
    assert parts.forgotten.x.shape == (0, 1)


def test_a_request_that_says_nothing_cannot_be_made() -> None:
    with pytest.raises(UnlearningError, match="at least one"):
        UnlearningRequest.client()
    with pytest.raises(UnlearningError, match="names examples of each client"):
        UnlearningRequest.sample({3: []})
    with pytest.raises(UnlearningError, match="negative index"):
        UnlearningRequest.sample({3: [-1]})
    assert UnlearningRequest.sample({3: np.array([2, 1])}) == UnlearningRequest.parse("sample:3=1,2")
