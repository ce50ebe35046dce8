"""The individual correction as a small neural network, which finds linear and non-linear effects by itself.

JAX, equinox and optax (the extra `neural`) train it; forecasting needs numpy alone. It starts as no correction and
trains while forecasts of held-out customers improve. With few customers it does not train at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv_pipeline.forecasting.buy_till_you_die import BuyTillYouDie
from clv_pipeline.forecasting.correction import MINIMUM_PURCHASES, Correction, NoCorrection, PieceFeatures, PieceRows
from clv_pipeline.forecasting.family import Family
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.protocol import PIECES_DAYS
from clv_pipeline.forecasting.residual import ROWS_TO_LEARN, SEED, Residual, ResidualCorrection

HIDDEN_LAYERS, HIDDEN_UNITS = 2, 16
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.1
BATCH, STEPS = 1_024, 64
"""Rows of a step, and steps of a round. They are the same in small shops, whose rows repeat often, and in large ones.
"""
MOST_ROUNDS = 30
PATIENCE = 3
"""Rounds without an improvement on the validation customers before training stops."""

# Arrays are padded to these sizes, so that one compilation serves all cutoffs.
_ROWS = -(-ROWS_TO_LEARN * len(PIECES_DAYS) // BATCH) * BATCH
_INPUTS_STEP = 64
_BLOCK = 256
_FARTHEST = 3.0  # log factors that training goes to; beyond, they would be cut off anyway

Integers = NDArray[np.int64]
Layers = Sequence[tuple[Floats, Floats]]


class NeuralCorrection(ResidualCorrection):
    """A network; `learned` holds pairs of weights (outputs, inputs) and biases (outputs,), layer by layer."""

    @classmethod
    def learn(cls, rows: PieceRows) -> Correction:
        """Find the number of training rounds on validation customers, then train on all; the number may be 0."""
        features = PieceFeatures.learn(rows)
        residual = Residual.of(features, NoCorrection(), rows)
        if residual.came.sum() < MINIMUM_PURCHASES:
            return NoCorrection()
        trainer = Trainer(residual)
        losses = trainer.losses([(np.flatnonzero(teach), np.flatnonzero(judge)) for teach, judge in residual.folds()])
        rounds = int(np.nanargmin(losses))
        description = {"rounds": rounds, "loss_before": losses[0], "loss": losses[rounds]}
        layers = None
        if rounds:
            layers = trainer.train(np.arange(len(residual.came)), rounds)
            description |= residual.described(run(layers, residual.inputs))
        return cls(features, NoCorrection(), max(rows.pieces), layers, description)

    def added(self, inputs: Floats) -> Floats:
        """Log factors by the network, in blocks of one size, so that a row gives the same result in any batch."""
        count, width = inputs.shape
        blocks = _padded(inputs, (-(-count // _BLOCK) * _BLOCK, width)).reshape(-1, _BLOCK, width)
        said = [run(self.learned or (), block) for block in blocks]
        return np.concatenate([*said, np.empty(0)])[:count]


class HybridNeural(Family):
    """Pareto/NBD with an individual correction by a neural network."""

    name = "hybrid_neural"

    @property
    def obstacle(self) -> str:
        """JAX is not installed."""
        if all(find_spec(package) for package in ("jax", "equinox", "optax")):
            return ""
        return "JAX is not installed: pip install 'clv_pipeline[neural]'."

    def process(self, ground: Ground) -> BuyTillYouDie:
        """Pareto/NBD."""
        return ParetoNbd()

    def learn_correction(self, ground: Ground, rows: PieceRows) -> Correction:
        """Learn a network with the process as offset."""
        return NeuralCorrection.learn(rows)


def run(layers: Layers, inputs: Floats) -> Floats:
    """Outputs of the network, shape (n,), of inputs of shape (n, k)."""
    units = inputs
    for depth, (weights, biases) in enumerate(layers):
        active = np.maximum(units, 0.0) if depth else units
        # einsum sums each row independently; a matrix product may round it differently at another place in the batch.
        units = np.einsum("ij,kj->ik", active, weights) + biases
    return units[:, 0]


class Trainer:
    """Trains a network on the rows of a residual."""

    def __init__(self, residual: Residual) -> None:
        inputs = residual.inputs
        self._sizes = (inputs.shape[1], *[HIDDEN_UNITS] * HIDDEN_LAYERS, 1)
        self._width = -(-inputs.shape[1] // _INPUTS_STEP) * _INPUTS_STEP
        self._programs = _programs(self._width)
        columns = np.column_stack([residual.came, residual.expected, residual.weight])
        # The mean loss is then per expected purchase, independent of how much a shop's customers buy.
        columns[:, 2] /= np.mean(residual.expected * residual.weight)
        self._rows = self._programs.to_device(_padded(inputs, (_ROWS, self._width)))
        self._columns = self._programs.to_device(_padded(columns, (_ROWS, 3)))

    def losses(self, folds: Sequence[tuple[Integers, Integers]]) -> list[float]:
        """Mean loss of the validation rows, before training on the training rows and after each round.

        It ends PATIENCE rounds after the best.
        """
        losses: list[float] = []
        judges = [(_cycled(judge), len(judge)) for _, judge in folds]
        rounds = zip(*(self._rounds(teach) for teach, _ in folds), strict=True)
        for each in islice(rounds, MOST_ROUNDS + 1):
            sums = [
                float(self._programs.loss(layers, self._rows, self._columns, *judge))
                for layers, judge in zip(each, judges, strict=True)
            ]
            losses.append(sum(sums) / sum(count for _, count in judges))
            if len(losses) > int(np.nanargmin(losses)) + PATIENCE:
                break
        return losses

    def train(self, teach: Integers, rounds: int) -> Layers:
        """Weights and biases of every layer after this many rounds."""
        layers = next(islice(self._rounds(teach), rounds, None))
        return [
            (np.array(weights[:, :size], np.float64), np.array(biases, np.float64))
            for (weights, biases), size in zip(layers, self._sizes, strict=False)
        ]

    def _rounds(self, teach: Integers) -> Iterator[Any]:
        """The layers before training and after each round, endlessly."""
        random = np.random.default_rng(SEED)
        layers = self._first_layers(random)
        state = self._programs.start(layers)
        while True:
            yield layers
            order = _cycled(random.permutation(teach))
            layers, state = self._programs.round(layers, state, self._rows, self._columns, order)

    def _first_layers(self, random: np.random.Generator) -> Any:
        """Initial layers: the output adds nothing; hidden weights as in He et al. (2015), arXiv 1502.01852."""
        layers = [
            (random.normal(0.0, np.sqrt(2.0 / inputs), (outputs, inputs)), np.zeros(outputs))
            for inputs, outputs in pairwise(self._sizes)
        ]
        layers[0] = (_padded(layers[0][0], (HIDDEN_UNITS, self._width)), layers[0][1])
        layers[-1] = (np.zeros_like(layers[-1][0]), layers[-1][1])
        return [tuple(self._programs.to_device(array) for array in layer) for layer in layers]


@dataclass(frozen=True)
class _Programs:
    """The JAX programs, compiled once per width of the inputs; layers are pairs of weights and biases."""

    to_device: Callable[[Floats], Any]
    start: Callable[..., Any]
    round: Callable[..., Any]
    loss: Callable[..., Any]


@cache
def _programs(width: int) -> _Programs:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    # One thread, so that the last digits of a sum do not depend on the machine.
    compiled = partial(jax.jit, compiler_options={"xla_cpu_multi_thread_eigen": False})
    optimiser = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY, mask=partial(jax.tree.map, lambda array: array.ndim > 1)),
    )
    # Shapes only: drawing random numbers here would compile for seconds.
    network = eqx.filter_eval_shape(lambda: eqx.nn.MLP(width, 1, HIDDEN_UNITS, HIDDEN_LAYERS, key=jax.random.key(SEED)))

    def losses(layers: Any, rows: Any, columns: Any, chosen: Any) -> Any:
        def arrays(network: Any) -> Any:
            return [array for layer in network.layers for array in (layer.weight, layer.bias)]

        filled = eqx.tree_at(arrays, network, [array for layer in layers for array in layer])
        added = jnp.clip(jax.vmap(filled)(rows[chosen])[:, 0], -_FARTHEST, _FARTHEST)
        came, expected, weight = columns[chosen].T
        return weight * (expected * jnp.exp(added) - came * added)

    @compiled
    def one_round(layers: Any, state: Any, rows: Any, columns: Any, order: Any) -> Any:
        def step(number: Any, carried: Any) -> Any:
            layers, state = carried
            chosen = jax.lax.dynamic_slice(order, (number * BATCH,), (BATCH,))
            gradient = jax.grad(lambda now: losses(now, rows, columns, chosen).mean())(layers)
            updates, state = optimiser.update(gradient, state, layers)
            return optax.apply_updates(layers, updates), state

        return jax.lax.fori_loop(0, STEPS, step, (layers, state))

    @compiled
    def loss(layers: Any, rows: Any, columns: Any, order: Any, count: Any) -> Any:
        def add(number: Any, total: Any) -> Any:
            chosen = jax.lax.dynamic_slice(order, (number * BATCH,), (BATCH,))
            is_counted = number * BATCH + jnp.arange(BATCH) < count
            return total + jnp.where(is_counted, losses(layers, rows, columns, chosen), 0.0).sum()

        return jax.lax.fori_loop(0, (count + BATCH - 1) // BATCH, add, 0.0)

    return _Programs(partial(jnp.asarray, dtype=jnp.float32), compiled(optimiser.init), one_round, loss)


def _padded(values: Floats, shape: tuple[int, ...]) -> Floats:
    """An array of zeros of this shape with `values` in its corner."""
    padded = np.zeros(shape)
    padded[tuple(slice(size) for size in values.shape)] = values
    return padded


def _cycled(indices: Integers) -> NDArray[np.int32]:
    """Repeat the indices in order up to the shape (_ROWS,): no batch is short."""
    return np.resize(indices, _ROWS).astype(np.int32)
