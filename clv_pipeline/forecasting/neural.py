"""A neural network with the zero-inflated lognormal loss: all three targets of a horizon from one network.

JAX, equinox and optax (the extra `neural`) train it; forecasting needs numpy alone. Training is seeded, and lasts as
long as it foretells the latest completed window better.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.util import find_spec
from itertools import islice, pairwise
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.forecasting.design_matrix import TRAINING_SAMPLE, DesignMatrix
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.learned import (
    SEED,
    FittedLearned,
    LearnedModel,
    Means,
    Prediction,
    Predictor,
    bought,
    no_features,
    no_money,
)
from clv_pipeline.forecasting.protocol import ALL_TARGETS, FitReport, Target, TrainingData
from clv_pipeline.forecasting.zero_inflated_lognormal import Distribution, Outcomes, Scale, loss

# Chosen on windows of Online Retail II that end before 2011-03-09; more units or a faster rate gained nothing.
HIDDEN_LAYERS, HIDDEN_UNITS = 2, 32
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 3.0
BATCH = 256
MAXIMUM_EPOCHS = 60
PATIENCE = 4
"""Epochs without a better loss of the judging rows before training stops."""

# Arrays are padded to these sizes, so that one compilation serves all horizons and cutoffs.
_ROWS = -(-TRAINING_SAMPLE // BATCH) * BATCH
_INPUTS_STEP = 64
_BLOCK = 256

Indices = NDArray[np.int64]
Layers = Sequence[tuple[Floats, Floats]]


class ZeroInflatedLognormal(LearnedModel):
    """P(buy), and lognormal spend and 1 + Poisson purchases of buyers, from one network per horizon."""

    name: ClassVar[str] = "neural"
    targets: ClassVar[frozenset[Target]] = ALL_TARGETS
    minimum_rows: ClassVar[int] = 200
    minimum_buyers: ClassVar[int] = 30

    def fit(self, training: TrainingData, horizons_days: Sequence[int]) -> FittedLearned:
        """Fit as `LearnedModel.fit`; without the extra `neural` nothing is fitted, and the notes say so."""
        if all(find_spec(package) for package in ("jax", "equinox", "optax")):
            return super().fit(training, horizons_days)
        notes = "JAX is not installed: pip install 'clv_pipeline[neural]'."
        report = FitReport(self.name, training.cutoff, {"horizons": {}}, 0, "no_training_data", notes)
        return FittedLearned(report, {})

    def learn(self, rows: pl.DataFrame) -> Predictor:
        """Find out on judging rows how long to train, then train that long on all rows."""
        design, buyers = DesignMatrix.learn(rows), int(bought(rows).sum())
        few = f"{buyers} customers bought in the training windows, {self.minimum_buyers} needed."
        if obstacle := no_features(design) or no_money(rows) or (few if buyers < self.minimum_buyers else ""):
            return Means.of(rows, self.targets, obstacle)
        scale, split = Scale.of(rows), Split.of(rows)
        trainer = Trainer(design.standardised(rows), scale.outcomes(rows), scale.average_heads)
        losses = trainer.losses(split)
        epochs = _best(losses)
        training = {
            "epochs": epochs,
            "judged_by": split.judges,
            "loss_of_mean": losses[0],
            "loss": losses[epochs],
        }
        layers = trainer.train(np.arange(rows.height), epochs)
        return Network(design, scale, layers, training)


@dataclass(frozen=True, eq=False)
class Split:
    """Which training rows teach and which judge, as indices; `judges` says who the latter are."""

    teach: Indices
    judge: Indices
    judges: str

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "Split":
        """Let the latest window judge what those teach that were over when it began; else a fifth of the customers.

        `rows` in the order of `training_rows`.
        """
        latest = rows["cutoff"][-1]
        ends = pl.col("cutoff") + pl.duration(days=pl.col("horizon_days"))
        over = rows.select(ends <= latest).to_series().to_numpy()
        if over.any():
            judge = (rows["cutoff"] == latest).to_numpy()
            return cls(np.flatnonzero(over), np.flatnonzero(judge), f"the window from {latest}")
        customers = rows["customer_id"].unique().sort()
        drawn = np.random.default_rng(SEED).permutation(len(customers))[: -(-len(customers) // 5)]
        judge = rows["customer_id"].is_in(customers.gather(drawn).implode()).to_numpy()
        return cls(np.flatnonzero(~judge), np.flatnonzero(judge), "a fifth of the customers")


@dataclass(frozen=True, eq=False)
class Network:
    """The trained network of one horizon: `layers` are pairs of weights (outputs, inputs) and biases (outputs,)."""

    design: DesignMatrix
    scale: Scale
    layers: Layers
    training: Mapping[str, Any]
    obstacle: ClassVar[str] = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """The features, how it was trained and judged, and the units; weights would say nothing to a reader."""
        return {
            "features": list(self.design.standardised_names),
            "hidden_units": [HIDDEN_UNITS] * HIDDEN_LAYERS,
            **self.training,
            "scale": asdict(self.scale),
        }

    def predict(self, customers: pl.DataFrame) -> Prediction:
        """Compute the means in blocks of one size, so that a row is treated alike in a batch of any size."""
        inputs = self.design.standardised(customers)
        count, width = inputs.shape
        blocks = _padded(inputs, (-(-count // _BLOCK) * _BLOCK, width)).reshape(-1, _BLOCK, width)
        means = [self.scale.expected(Distribution.of(run(self.layers, block), np)) for block in blocks]
        purchases, spend, p_purchase = (
            np.concatenate([getattr(block, target) for block in means])[:count]
            for target in ("purchases", "spend", "p_purchase")
        )
        return Prediction(purchases, spend, p_purchase)


def run(layers: Layers, inputs: Floats) -> Floats:
    """Outputs of the network, shape (n, 4), of standardised inputs, shape (n, k)."""
    units = inputs
    for depth, (weights, biases) in enumerate(layers):
        active = np.maximum(units, 0.0) if depth else units
        # einsum sums each row by itself; a matrix product may round it differently at another place in the batch.
        units = np.einsum("ij,kj->ik", active, weights) + biases
    return units


class Trainer:
    """Trains on rows of one horizon: inputs (n, k), their outcomes, and the heads (4,) to start from."""

    def __init__(self, inputs: Floats, outcomes: Outcomes, average_heads: Floats) -> None:
        self._sizes = (inputs.shape[1], *[HIDDEN_UNITS] * HIDDEN_LAYERS, len(average_heads))
        self._width = -(-inputs.shape[1] // _INPUTS_STEP) * _INPUTS_STEP
        self._programs = _programs(self._width)
        self._rows = self._programs.to_device(_padded(inputs, (_ROWS, self._width)))
        self._outcomes = Outcomes(*(self._programs.to_device(_padded(column, (_ROWS,))) for column in outcomes))
        self._average_heads = average_heads

    def losses(self, split: Split) -> list[float]:
        """Mean loss of the judging rows before training (the mean for everybody) and after each epoch.

        Ends PATIENCE epochs after the smallest one.
        """
        judge = _cycled(split.judge)
        losses: list[float] = []
        for layers in islice(self._epochs(split.teach), MAXIMUM_EPOCHS + 1):
            losses.append(float(self._programs.mean_loss(layers, self._rows, self._outcomes, judge, len(split.judge))))
            if len(losses) > 1 and len(losses) > _best(losses) + PATIENCE:
                break
        return losses

    def train(self, teach: Indices, epochs: int) -> Layers:
        """Weights and biases of every layer after so many epochs."""
        layers = next(islice(self._epochs(teach), epochs, None))
        return [
            (np.array(weights[:, :size], np.float64), np.array(biases, np.float64))
            for (weights, biases), size in zip(layers, self._sizes, strict=False)
        ]

    def _epochs(self, teach: Indices) -> Iterator[Any]:
        """The layers before training and after each epoch, without end."""
        random = np.random.default_rng(SEED)
        layers = self._first_layers(random)
        state, steps = self._programs.start(layers), -(-len(teach) // BATCH)
        while True:
            yield layers
            order = _cycled(random.permutation(teach))
            layers, state = self._programs.epoch(layers, state, self._rows, self._outcomes, order, steps)

    def _first_layers(self, random: np.random.Generator) -> Any:
        """Layers that say the average to everybody; hidden weights as He et al. (2015), arXiv 1502.01852, propose."""
        layers = [
            (random.normal(0.0, np.sqrt(2.0 / inputs), (outputs, inputs)), np.zeros(outputs))
            for inputs, outputs in pairwise(self._sizes)
        ]
        layers[0] = (_padded(layers[0][0], (HIDDEN_UNITS, self._width)), layers[0][1])
        layers[-1] = (np.zeros_like(layers[-1][0]), self._average_heads)
        return [tuple(self._programs.to_device(array) for array in layer) for layer in layers]


@dataclass(frozen=True)
class _Programs:
    """What JAX runs, compiled once per width of the inputs; layers are pairs of weights and biases."""

    to_device: Callable[[Floats], Any]
    start: Callable[..., Any]
    epoch: Callable[..., Any]
    mean_loss: Callable[..., Any]


@cache
def _programs(width: int) -> _Programs:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    # One thread, so that the last digits of a sum do not depend on the machine.
    compiled = partial(jax.jit, compiler_options={"xla_cpu_multi_thread_eigen": False})
    # Biases do not decay: those of the last layer say how the average customer behaves.
    optimiser = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY, mask=partial(jax.tree.map, lambda array: array.ndim > 1)),
    )
    # The shapes alone: drawing random numbers here would compile for seconds.
    network = eqx.filter_eval_shape(lambda: eqx.nn.MLP(width, 4, HIDDEN_UNITS, HIDDEN_LAYERS, key=jax.random.key(SEED)))

    def losses(layers: Any, rows: Any, outcomes: Outcomes, chosen: Any) -> Any:
        def arrays(network: Any) -> Any:
            return [array for layer in network.layers for array in (layer.weight, layer.bias)]

        heads = jax.vmap(eqx.tree_at(arrays, network, [array for layer in layers for array in layer]))(rows[chosen])
        return loss(Distribution.of(heads, jnp), Outcomes(*(column[chosen] for column in outcomes)), jnp)

    @compiled
    def epoch(layers: Any, state: Any, rows: Any, outcomes: Outcomes, order: Any, steps: Any) -> Any:
        def step(number: Any, carried: Any) -> Any:
            layers, state = carried
            chosen = jax.lax.dynamic_slice(order, (number * BATCH,), (BATCH,))
            gradient = jax.grad(lambda now: losses(now, rows, outcomes, chosen).mean())(layers)
            updates, state = optimiser.update(gradient, state, layers)
            return optax.apply_updates(layers, updates), state

        return jax.lax.fori_loop(0, steps, step, (layers, state))

    @compiled
    def mean_loss(layers: Any, rows: Any, outcomes: Outcomes, order: Any, count: Any) -> Any:
        def add(number: Any, total: Any) -> Any:
            chosen = jax.lax.dynamic_slice(order, (number * BATCH,), (BATCH,))
            is_counted = number * BATCH + jnp.arange(BATCH) < count
            return total + jnp.where(is_counted, losses(layers, rows, outcomes, chosen), 0.0).sum()

        return jax.lax.fori_loop(0, (count + BATCH - 1) // BATCH, add, 0.0) / count

    return _Programs(partial(jnp.asarray, dtype=jnp.float32), compiled(optimiser.init), epoch, mean_loss)


def _best(losses: Sequence[float]) -> int:
    """The epoch with the smallest loss, at least 1.

    The mean may foretell the judging window better only because that has the level of another season; a network
    after one epoch is still close to the mean, but ranks customers.
    """
    return 1 + int(np.nanargmin(losses[1:]))


def _padded(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Zeros of this shape with `values` in their corner."""
    padded = np.zeros(shape)
    padded[tuple(slice(size) for size in values.shape)] = values
    return padded


def _cycled(indices: Indices) -> NDArray[np.int32]:
    """Repeat the indices, in their order, to the shape (_ROWS,): no batch is short."""
    return np.resize(indices, _ROWS).astype(np.int32)
