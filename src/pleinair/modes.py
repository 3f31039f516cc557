"""A painter's graph with a second mode, in which the statistics of its instance norms are given.

Every InstanceNormalization becomes an If: where the initializer `fixed` is false, as in the file,
it is what it was, and the output `statistics` gathers means and variances; where it is true it is
a BatchNormalization with `given_statistics`. Runtimes drop the branch not taken while they load,
so either mode costs what a graph of its own would, and one that knows nothing of all this paints.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

STATISTICS = "statistics"


def add_modes(model: ModelProto) -> ModelProto:
    """Change a model in place and return it; one without instance norms is left as it is.

    statistics and given_statistics: float32 (2, C), means and variances of all norms' channels in
    the order of the graph. Norms have to have their scale as an initializer.
    """
    graph = model.graph
    sizes = {entry.name: int(entry.dims[0]) for entry in graph.initializer if entry.dims}
    norms = [node for node in graph.node if node.op_type == "InstanceNormalization"]
    if not norms:
        return model
    channels = [sizes[norm.input[1]] for norm in norms]
    given = np.stack([np.zeros(sum(channels)), np.ones(sum(channels))]).astype(np.float32)
    for name, array in (  # without dots, which names of weights have
        ("fixed", np.array(False)),
        ("given_statistics", given),
        ("statistics_sizes", np.array(channels, np.int64)),
        ("statistics_places", np.array([2, 3], np.int64)),
        ("statistics_rows", np.array([-1], np.int64)),
        ("statistics_both", np.array([2, -1], np.int64)),
    ):
        graph.initializer.append(_tensor(array, name))
    names = [f"norm{number}" for number in range(len(norms))]
    slices = [f"{name}.given" for name in names]
    nodes = [helper.make_node("Split", ["given_statistics", "statistics_sizes"], slices, axis=1)]
    left = iter(names)
    nodes += [
        _switch(node, next(left)) if node.op_type == "InstanceNormalization" else node
        for node in graph.node
    ]
    found = [f"{name}.statistics" for name in names]
    nodes.append(helper.make_node("Concat", found, [STATISTICS], axis=1))
    del graph.node[:]  # what is in `nodes` lives on
    graph.node.extend(nodes)
    shape = [2, sum(channels)]
    graph.output.append(helper.make_tensor_value_info(STATISTICS, TensorProto.FLOAT, shape))
    return model


def _switch(norm: NodeProto, name: str) -> NodeProto:
    """An If for one norm: its output, and its statistics (2, C)."""
    x, scale, bias = norm.input
    epsilon = next((entry.f for entry in norm.attribute if entry.name == "epsilon"), 1e-5)
    node = helper.make_node

    def inner(part: str) -> str:
        return f"{name}.{part}"

    apply = [
        node("Split", [inner("given")], [inner("mean"), inner("variance")], axis=0, num_outputs=2),
        node("Reshape", [inner("mean"), "statistics_rows"], [inner("means")]),
        node("Reshape", [inner("variance"), "statistics_rows"], [inner("variances")]),
        node(
            "BatchNormalization",
            [x, scale, bias, inner("means"), inner("variances")],
            [inner("applied")],
            epsilon=epsilon,
        ),
        node("Identity", [inner("given")], [inner("told")]),
    ]
    measure = [
        node("InstanceNormalization", [x, scale, bias], [inner("normed")], epsilon=epsilon),
        node("ReduceMean", [x, "statistics_places"], [inner("middle")], keepdims=1),
        node("Sub", [x, inner("middle")], [inner("centred")]),
        # Not the mean of squares less the square of the mean, which would lose digits.
        node("Mul", [inner("centred"), inner("centred")], [inner("squares")]),
        node("ReduceMean", [inner("squares"), "statistics_places"], [inner("spread")], keepdims=1),
        node("Concat", [inner("middle"), inner("spread")], [inner("pair")], axis=0),
        node("Reshape", [inner("pair"), "statistics_both"], [inner("measured")]),
    ]
    return node(
        "If",
        ["fixed"],
        [norm.output[0], inner("statistics")],
        then_branch=_graph(apply, inner("apply"), inner("applied"), inner("told")),
        else_branch=_graph(measure, inner("measure"), inner("normed"), inner("measured")),
    )


def _graph(nodes: list[NodeProto], name: str, *outputs: str) -> GraphProto:
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, None) for end in outputs]
    return helper.make_graph(nodes, name, [], ends)


def _tensor(array: NDArray[Any], name: str) -> TensorProto:
    return numpy_helper.from_array(array, name)
