"""The clusters beside the rule-based segments."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from clv_pipeline.assets.plots import cluster_plot
from clv_pipeline.assets.tables import Metadata, Pipeline, gated_step
from clv_pipeline.refresh import Refresh
from clv_pipeline.warehouse import Session


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """customer_clusters with cluster_profiles."""

    def build(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.segmentation.clusters import cluster_customers

        customers = session.read(
            "select customer_id, days_since_last, frequency, cast(revenue as double) as revenue from rfm"
        )
        clustering = cluster_customers(customers)
        session.stage_frame(pipeline.contract("customer_clusters"), clustering.assignments)
        session.stage_frame(pipeline.contract("cluster_profiles"), clustering.profiles)
        tried = [dg.TableRecord(row) for row in clustering.diagnostics.to_dicts()]
        return {
            "customer_clusters": {
                "clusters": clustering.profiles.height,
                "why this many": clustering.reason,
                **({"numbers tried": dg.MetadataValue.table(tried)} if tried else {}),
            }
        }

    return [
        gated_step(
            pipeline,
            ["customer_clusters", "cluster_profiles"],
            reads=["rfm"],
            kinds={"python", "scikitlearn"},
            build=build,
            describe=cluster_plot,
        )
    ]
