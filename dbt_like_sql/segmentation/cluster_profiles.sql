-- Size and typical customer of every cluster.
with

members as (select * from customer_clusters),

customers as (select * from rfm),

final as (
    select
        members.cluster,
        members.cluster_name,
        cast(count(*) as integer) as customers,
        cast(count(*) as double) / cast(sum(count(*)) over () as double) as customer_share,
        median(cast(customers.days_since_last as double)) as median_days_since_last,
        median(cast(customers.frequency as double)) as median_frequency,
        median(cast(customers.revenue as double)) as median_revenue
    from members
    inner join customers on members.customer_id = customers.customer_id
    group by members.cluster, members.cluster_name
)

select * from final
