"""K-means clusters of customers over recency, frequency and revenue, with the evidence for their number.

Here: the choice of k, the assignment of customers, and the names. Pure: a polars frame in, polars frames out. Not here:
the rule-based R × F grid, the profiles (SQL), Dagster, tables, settings.

The recipe answers what K-means does badly on customer data: spend and frequency are heavy-tailed (log1p), a
few wholesalers stretch every scale (median and interquartile range) or become clusters of one (minimum size),
silhouette nearly always prefers two groups (k = 2 is only the fallback), and many splits are accidents of the
sample (bootstrap stability).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from clv_pipeline.display import ENGLISH, Display

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEATURES = ("days_since_last", "frequency", "revenue")
"""What customers are clustered on, each as log1p; without money, whose revenue is null, the first two."""
CANDIDATE_K = range(2, 9)
"""Numbers of clusters that are tried."""
MIN_CUSTOMERS = 50
"""Below this many customers a split says more about the sample than about the customers."""
SCALE_CUSTOMERS = 100_000
"""Customers whose spread scales the features at most; more would not move a median."""
FIT_CUSTOMERS = 20_000
"""Centroids are fitted on at most this many of them; everybody is then assigned to the nearest one."""
SAMPLE_CUSTOMERS = 3_000
"""Silhouette is measured on at most this many customers (it needs all pairwise distances), and each bootstrap
resample has at most this many."""
RESAMPLES = 10
"""Bootstrap refits per k."""
MIN_STABILITY = 0.8
"""Least mean adjusted Rand index between the clustering and its bootstrap refits."""
MIN_SHARE = 0.03
"""Least share of customers in the smallest cluster: less is not worth a campaign of its own."""
MIN_SILHOUETTE = 0.25
"""Below it there is no substantial structure (Kaufman & Rousseeuw 1990, Finding Groups in Data, p. 88)."""
SILHOUETTE_TOLERANCE = 0.05
"""A finer split is preferred while its silhouette stays this close to the best one."""

_MEASURED = {"k": pl.Int64, "smallest_share": pl.Float64, "silhouette": pl.Float64, "stability": pl.Float64}


@dataclass(frozen=True)
class ClusterName:
    """What a cluster is called: the facts, and the words that are made of them here and nowhere else.

    value: high, medium or low, by revenue, or by `frequency` where there is no money. recency: recent, cooling or
    lapsed. Both are None of the only cluster. Of `alike` clusters with the same value and recency it is the one with
    this `number`, 1 spends, or buys, most.
    """

    value: str | None = None
    recency: str | None = None
    number: int = 1
    alike: int = 1
    measure: Literal["value", "frequency"] = "value"

    @property
    def code(self) -> str:
        """The name without words, the same for clusters that are alike."""
        return "all_customers" if self.value is None else f"{self.value}_{self.measure}_{self.recency}"

    @property
    def facts(self) -> str:
        """What the name is made of, as JSON."""
        made_of = {self.measure: self.value, "recency": self.recency, "number": self.number, "alike": self.alike}
        return json.dumps(made_of)

    def __str__(self) -> str:
        return self.in_words(ENGLISH)

    def in_words(self, display: Display) -> str:
        """The name in a language."""
        if self.value is None:
            return display.term("All customers")
        name = f"{self.value.capitalize()} {self.measure}, {self.recency}"
        words = display.term(name)
        if self.alike == 1:
            return words
        of_alike = {"name": words, "number": display.count(self.number), "alike": display.count(self.alike)}
        if self.measure == "value":
            return display.say("{name} ({number} of {alike} by spend)", **of_alike)
        return display.say("{name} ({number} of {alike} by purchases)", **of_alike)


def cluster_in_words(code: str, facts: Mapping[str, Any], display: Display = ENGLISH) -> str:
    """The name of a cluster from `cluster_name_code` and the fields of `cluster_name_facts`."""
    if code == ClusterName().code:
        return ClusterName().in_words(display)
    measure: Literal["value", "frequency"] = "value" if "value" in facts else "frequency"
    return ClusterName(facts[measure], facts["recency"], facts["number"], facts["alike"], measure).in_words(display)


@dataclass(frozen=True)
class Clusters:
    """The clusters that were found, and why there are that many: a function that assigns customers, in any batches.

    centre, spread: of every feature, which put it on its scale.
    centroids: clusters × features, on that scale, cluster 1 first, which spends most, or buys most without money.
    named: the clusters' names, unique as words.
    diagnostics: one row per k tried: k, smallest_share (0..1), silhouette (−1..1) and stability (mean
        adjusted Rand index), both null where the smallest cluster was too small to go on, eligible, chosen.
        Empty if there was nothing to split.
    reason: one sentence that says why this number of clusters.
    """

    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    centroids: NDArray[np.float64]
    named: tuple[ClusterName, ...]
    diagnostics: pl.DataFrame
    reason: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names in words."""
        return tuple(map(str, self.named))

    @property
    def names_frame(self) -> pl.DataFrame:
        """One row per cluster: cluster (from 1), cluster_name, and the code and the facts that it is made of."""
        return pl.DataFrame(
            {
                "cluster": range(1, len(self.named) + 1),
                "cluster_name": self.names,
                "cluster_name_code": [name.code for name in self.named],
                "cluster_name_facts": [name.facts for name in self.named],
            }
        )

    def __call__(self, rfm: pl.DataFrame) -> pl.DataFrame:
        """The nearest cluster of every customer: customer_id, cluster (from 1), cluster_name.

        `rfm` as for `find_clusters`, which says what is refused.
        """
        features = FEATURES[: len(self.centre)]
        _check(rfm, features)
        points = (_logged(rfm, features) - self.centre) / self.spread
        # No matrix product: it may round a row differently in another batch.
        distances = np.stack([((points - centroid) ** 2).sum(axis=1) for centroid in self.centroids])
        nearest = distances.argmin(axis=0)
        return rfm.select(
            "customer_id",
            pl.Series("cluster", nearest + 1, dtype=pl.Int64),
            pl.Series("cluster_name", np.array(self.names, dtype=object)[nearest], dtype=pl.String),
        )


def find_clusters(rfm: pl.DataFrame, *, seed: int = 0) -> Clusters:
    """Cluster customers by K-means on log1p, robustly scaled recency, frequency and revenue.

    rfm: one row per customer, or per customer of a sample, with customer_id, days_since_last (days), frequency
    (repeat purchase days) and revenue (currency; a negative net revenue counts as 0). Other columns and the row order
    do not matter. In a shop without money the revenue of all customers is null, and is left out.

    Of k = 2..8 those are eligible whose smallest cluster holds at least `MIN_SHARE` of the customers, whose
    bootstrap stability (mean adjusted Rand index, Hubert & Arabie 1985) reaches `MIN_STABILITY`, and whose
    silhouette (Rousseeuw 1987) reaches `MIN_SILHOUETTE`. Chosen is the largest eligible k ≥ 3 whose
    silhouette is within `SILHOUETTE_TOLERANCE` of the best eligible k ≥ 3; else k = 2 if eligible; else one
    cluster. Too few or identical customers are one cluster as well. `reason` says which case it was.

    Raises:
        ValueError: a column is missing, a feature is null, not finite or (revenue aside) negative, or a customer_id is
            null or repeated.
    """
    features = _features_of(rfm)
    _check(rfm, features)
    rfm = rfm.sort("customer_id")
    if rfm.height < MIN_CUSTOMERS:
        why = f"{rfm.height} customers are fewer than the {MIN_CUSTOMERS} that a split needs"
        return _one_cluster(features, why)
    logged = _logged(rfm, features)
    centre, spread = _scale(logged)
    fitted = ((logged - centre) / spread)[_stable_shuffle(rfm["customer_id"])[:FIT_CUSTOMERS]]
    distinct = len(np.unique(fitted, axis=0))
    if distinct == 1:
        measured = "recency, frequency and revenue" if features == FEATURES else "recency and frequency"
        return _one_cluster(features, f"all customers have the same {measured}")

    # Imported first, because only thread pools that are loaded can be limited.
    import sklearn.cluster  # noqa: F401
    from threadpoolctl import threadpool_limits

    # The last bits of threaded sums depend on which thread finishes first; one thread makes runs identical.
    with threadpool_limits(limits=1):
        candidates = [k for k in CANDIDATE_K if k <= distinct]
        models, diagnostics = _try_all(candidates, fitted, seed)
    k, reason = _choose(diagnostics)
    diagnostics = diagnostics.with_columns(chosen=pl.col("k") == k)
    if k == 1:
        return _one_cluster(features, reason, diagnostics)
    centroids = models[k].cluster_centers_
    centroids = centroids[_ranking(centroids)]
    return Clusters(centre, spread, centroids, _named(centroids), diagnostics, reason)


def _features_of(rfm: pl.DataFrame) -> tuple[str, ...]:
    """The features that are known: all, or those without revenue where it is null of all customers."""
    has_money = "revenue" not in rfm.columns or rfm.is_empty() or rfm["revenue"].is_not_null().any()
    return FEATURES if has_money else FEATURES[:-1]


def _check(rfm: pl.DataFrame, features: Sequence[str]) -> None:
    missing = [column for column in ("customer_id", *FEATURES) if column not in rfm.columns]
    if missing:
        raise ValueError(f"clustering needs the columns {missing}, which the frame does not have")
    if rfm["customer_id"].null_count() or rfm["customer_id"].is_duplicated().any():
        raise ValueError("clustering needs one row per customer, but customer_id is null or repeated")
    for column in features:
        values = rfm[column].cast(pl.Float64)
        if values.null_count() or not values.is_finite().all():
            raise ValueError(f"clustering needs finite numbers, but {column} has null or infinite values")
        if column != "revenue" and (values < 0).any():
            raise ValueError(f"clustering needs {column} of at least 0, but it has negative values")


def _logged(rfm: pl.DataFrame, features: Sequence[str]) -> NDArray[np.float64]:
    """Customers × features, each as log1p."""
    raw = rfm.select(pl.col(features).cast(pl.Float64).clip(lower_bound=0)).to_numpy()
    return np.asarray(np.log1p(raw), dtype=np.float64)


def _scale(logged: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The median of every feature, and the interquartile range as a standard deviation."""
    lower, median, upper = np.quantile(logged, [0.25, 0.5, 0.75], axis=0)
    spread = (upper - lower) / 1.349  # the IQR of a normal distribution is 1.349 standard deviations
    # Where most customers share one value (say, no repeat purchase) the IQR is 0 and the standard deviation
    # takes over; a feature without any variation stays 0 and does not count.
    spread = np.where(spread > 0, spread, logged.std(axis=0))
    return median, np.where(spread > 0, spread, 1.0)


def _stable_shuffle(ids: pl.Series) -> NDArray[np.intp]:
    """Row numbers in the order of a fixed hash of the customer_id.

    A prefix of it is a random sample in which a customer stays from night to night while others come and go.
    Hash: FNV-1a over the UTF-8 bytes, vectorised over customers, finished with MurmurHash3's fmix64.
    """
    padded = np.array(ids.cast(pl.String).cast(pl.Binary).to_list(), dtype=np.bytes_)
    hashes = np.full(len(padded), 0xCBF29CE484222325, dtype=np.uint64)
    for byte in padded.view(np.uint8).reshape(len(padded), -1).T:
        # The zeros that pad shorter ids are skipped: a hash must not depend on the longest id of the frame.
        hashes = np.where(byte > 0, (hashes ^ byte) * np.uint64(0x100000001B3), hashes)
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(multiplier)
    return np.argsort(hashes ^ (hashes >> np.uint64(33)), kind="stable")


def _try_all(candidates: list[int], fitted: NDArray[np.float64], seed: int) -> tuple[dict[int, Any], pl.DataFrame]:
    """K-means for every candidate k: the fitted models by k, and the diagnostics without `chosen`."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, pairwise_distances, silhouette_score

    sample = fitted[:SAMPLE_CUSTOMERS]
    distances = pairwise_distances(sample)
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(fitted), size=(RESAMPLES, min(len(fitted), SAMPLE_CUSTOMERS)))
    models: dict[int, Any] = {}
    rows = []
    for k in candidates:
        model = models[k] = KMeans(n_clusters=k, n_init=5, random_state=seed).fit(fitted)
        smallest_share = np.bincount(model.labels_, minlength=k).min() / len(fitted)
        silhouette = stability = None
        if smallest_share >= MIN_SHARE:
            labels = model.predict(sample)
            silhouette = silhouette_score(distances, labels, metric="precomputed")
            refits = (KMeans(n_clusters=k, n_init=3, random_state=seed).fit(fitted[draw]) for draw in draws)
            stability = np.mean([adjusted_rand_score(labels, refit.predict(sample)) for refit in refits])
        rows.append((k, smallest_share, silhouette, stability))
    diagnostics = pl.DataFrame(rows, schema=_MEASURED, orient="row").with_columns(
        eligible=(
            (pl.col("smallest_share") >= MIN_SHARE)
            & (pl.col("stability") >= MIN_STABILITY)
            & (pl.col("silhouette") >= MIN_SILHOUETTE)
        ).fill_null(value=False)
    )
    return models, diagnostics


def _choose(diagnostics: pl.DataFrame) -> tuple[int, str]:
    """The number of clusters and the reason for it."""
    bar = (
        f"stable (adjusted Rand index of at least {MIN_STABILITY}), large enough (every cluster at least "
        f"{MIN_SHARE:.0%} of customers) and separated (silhouette of at least {MIN_SILHOUETTE})"
    )
    eligible = diagnostics.filter("eligible")
    finer = eligible.filter(pl.col("k") >= 3)
    if not finer.is_empty():
        best = finer.sort("silhouette", "k", descending=[True, False]).row(0, named=True)
        close = finer.filter(pl.col("silhouette") >= best["silhouette"] - SILHOUETTE_TOLERANCE)
        chosen = close.sort("k").row(-1, named=True)
        return chosen["k"], (
            f"{chosen['k']} clusters: the finest eligible split with a silhouette "
            f"({chosen['silhouette']:.2f}) within {SILHOUETTE_TOLERANCE} of the best with three or more "
            f"({best['silhouette']:.2f} with {best['k']}); stability {chosen['stability']:.2f}, "
            f"smallest cluster {chosen['smallest_share']:.1%} of customers"
        )
    if not eligible.is_empty():
        return 2, f"2 clusters: no split into three or more is {bar}"
    return 1, f"no split is {bar}"


def _ranking(centroids: NDArray[np.float64]) -> NDArray[np.intp]:
    """The order of centroids: highest revenue, else frequency, first, the more recent first among equals."""
    recency, *_, most = centroids.T
    return np.lexsort((recency, -most))


def _named(centroids: NDArray[np.float64]) -> tuple[ClusterName, ...]:
    """The names of clusters, by centroids in their order.

    They tell in which third of the range between the extreme centroids a cluster lies, so they compare clusters
    with each other: bare ranks would call two clusters last seen 14 and 18 days ago "recent" and "cooling".
    """
    recency, *_, most = centroids.T
    measure: Literal["value", "frequency"] = "value" if centroids.shape[1] == len(FEATURES) else "frequency"
    values = np.array(["high", "medium", "low"])[_third(-most)].tolist()
    seen = np.array(["recent", "cooling", "lapsed"])[_third(recency)].tolist()
    pairs = list(zip(values, seen, strict=True))
    alike = Counter(pairs)
    return tuple(
        ClusterName(*pair, number=pairs[:cluster].count(pair), alike=alike[pair], measure=measure)
        for cluster, pair in enumerate(pairs, start=1)
    )


def _third(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """0, 1 or 2: the third of their range in which values lie; all in the middle one if there is no range."""
    low, width = values.min(), np.ptp(values)
    position = (values - low) / width if width > 0 else np.full_like(values, 0.5)
    return np.minimum((position * 3).astype(np.int64), 2)


def _one_cluster(features: Sequence[str], why: str, diagnostics: pl.DataFrame | None = None) -> Clusters:
    if diagnostics is None:
        diagnostics = pl.DataFrame(schema=_MEASURED | {"eligible": pl.Boolean, "chosen": pl.Boolean})
    nowhere, one = np.zeros(len(features)), np.ones(len(features))
    return Clusters(nowhere, one, nowhere[np.newaxis], (ClusterName(),), diagnostics, f"One cluster: {why}")
