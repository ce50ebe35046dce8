"""The learned clusters, which stand beside the rule-based segments, and what contacts cost; the others are SQL."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.settings_table import settings_frame


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """The tables customer_clusters with cluster_names, and contact_costs."""

    def build_clusters(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.segmentation.clusters import SCALE_CUSTOMERS, find_clusters

        customers = "select customer_id, days_since_last, frequency, cast(revenue as double) as revenue from rfm"
        sample = session.read(f"{customers} order by md5(customer_id), customer_id limit ?", [SCALE_CUSTOMERS])
        clusters = find_clusters(sample)
        session.map_batches(pipeline.contract("customer_clusters"), customers, clusters)
        session.stage_frame(pipeline.contract("cluster_names"), clusters.names_frame)
        tried = [dg.TableRecord(row) for row in clusters.diagnostics.to_dicts()]
        return {
            "customer_clusters": {
                "clusters": len(clusters.named),
                "why this many": clusters.reason,
                **({"numbers tried": dg.MetadataValue.table(tried)} if tried else {}),
            }
        }

    def build_costs(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        contract = pipeline.contract("contact_costs")
        session.stage_frame(contract, settings_frame(contract, [dict(pipeline.settings.contact_costs)]))
        return {}

    return [
        gated_step(
            pipeline,
            ["customer_clusters", "cluster_names"],
            reads=["rfm"],
            kinds={"python", "scikitlearn"},
            build=build_clusters,
        ),
        gated_step(pipeline, ["contact_costs"], reads=[], kinds={"python"}, build=build_costs),
    ]
